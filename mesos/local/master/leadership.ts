/** Who leads, when there is more than one master: known from ZooKeeper (candidate.ts), or set by a test. */
import type { ServerResponse } from 'node:http';
import { HttpError, replyEmpty } from '../http.ts';
import type { Master } from './state.ts';

export interface Leadership {
  /** URL of the master that leads; undefined: none does. */
  leader: string | undefined;
}

export function urlOf(master: Master): string {
  const { ip, port } = master.info.address!;
  return `${master.options.tls ? 'https' : 'http'}://${ip}:${port}`;
}

/**
 * True if another master leads; the request is then answered with where to go, which has no scheme. HttpError 503 when nobody leads, or
 * this master does and has not recovered yet.
 */
export function isRedirected(master: Master, path: string, response: ServerResponse): boolean {
  const { clock, recoveryMs } = master.options;
  const { leadership } = master;
  const leader = leadership === undefined ? urlOf(master) : leadership.leader;
  if (leader === undefined) throw new HttpError(503, 'No leader elected');
  if (leader === urlOf(master) && path !== '') {
    if (clock.now() < master.electedAt + recoveryMs) throw new HttpError(503, 'Master has not finished recovery');
    return false;
  }
  response.setHeader('Location', `//${new URL(leader).host}${path === '' ? '' : `/master${path}`}`);
  replyEmpty(response, 307);
  return true;
}
