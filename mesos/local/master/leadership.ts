/** Who leads, when there is more than one master: set from outside, since electing is ZooKeeper's work and not imitated. */
import type { ServerResponse } from 'node:http';
import { HttpError, replyEmpty } from '../http.ts';
import type { Master } from './state.ts';

export interface Leadership {
  /** URL of the master that leads; undefined: none does. */
  leader: string | undefined;
}

function urlOf(master: Master): string {
  const { ip, port } = master.info.address!;
  return `http://${ip}:${port}`;
}

/**
 * True if another master leads; the request is then answered with where to go, which has no scheme. HttpError 503 when nobody leads, or
 * this master does and has not recovered yet.
 */
export function isRedirected(master: Master, path: string, response: ServerResponse): boolean {
  const { leadership, clock, recoveryMs } = master.options;
  const leader = leadership === undefined ? urlOf(master) : leadership.leader;
  if (leader === undefined) throw new HttpError(503, 'No leader elected');
  if (leader === urlOf(master) && path !== '') {
    if (clock.now() < master.startedAt + recoveryMs) throw new HttpError(503, 'Master has not finished recovery');
    return false;
  }
  response.setHeader('Location', `//${new URL(leader).host}${path === '' ? '' : `/master${path}`}`);
  replyEmpty(response, 307);
  return true;
}
