import { join } from 'node:path';

/** Where `local up` keeps a cluster unless told: inside the project, so that removing the project removes it. */
export const defaultDir = join(import.meta.dirname, '../../.factory/local');
