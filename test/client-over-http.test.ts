/** The HTTP client against the real API server passes the suite that the memory client passes: so the two mean the same. */
import { clientSuite } from '#lib/client/client.suite.ts';
import { apiWorld } from './api-world.ts';

clientSuite('httpClient() and the API server', apiWorld);
