/**
 * The connections that an import may make. The address is checked at the moment of connecting, on what the name resolved to and is then
 * connected to: a name that says something else a second later, and a redirect, gain nothing.
 */
import { type LookupAddress, lookup as systemLookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { Agent, buildConnector } from 'undici';
import type { AddressRule } from './addresses.ts';
import { ImportError } from './errors.ts';

const connectMs = 30_000;

/** Failed requests reject with the ImportError that refused their address. Whoever asks for an agent destroys it. */
export function guardedAgent(isAllowed: AddressRule, lookup: LookupFunction = systemLookup as LookupFunction): Agent {
  const guarded: LookupFunction = (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, '');
      const addresses = found as readonly LookupAddress[];
      const allowed = addresses.filter(({ address }) => isAllowed(address));
      const first = allowed[0];
      if (!first) return callback(refusal(hostname, addresses), '');
      if (options.all) callback(null, [...allowed]);
      else callback(null, first.address, first.family);
    });
  };
  const connect = buildConnector({ timeout: connectMs, lookup: guarded });
  return new Agent({
    connect(options, callback) {
      // An address in place of a name is never looked up.
      const address = options.hostname.replace(/^\[(.*)\]$/, '$1');
      if (isIP(address) !== 0 && !isAllowed(address)) callback(refusal(address, []), null);
      else connect(options, callback);
    },
  });
}

function refusal(host: string, addresses: readonly LookupAddress[]): ImportError {
  const of = addresses.length === 0 ? '' : ` (${addresses.map(({ address }) => address).join(', ')})`;
  return ImportError.refused(
    'AddressRefused',
    `Will not fetch from ${host}${of}: it is not a public address. A site's own mirror is permitted by allowPrivateSources in the executor's configuration`,
  );
}
