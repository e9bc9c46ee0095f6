/** The subresource log of virtual machines: what they have printed on the serial console, as kubectl's logs of pods. */

import { isTrue } from '#apiserver/http/request-info.ts';
import { badRequest } from '#apiserver/http/status.ts';

/** Of pods' logs, what a serial console does not know: it has no times, and one file. */
const unknown = ['sinceSeconds', 'sinceTime', 'timestamps', 'previous', 'container', 'stream'];

/** What the host is asked for. BadRequest for a wish that would be left out without a word. */
export function logQuery(query: URLSearchParams): URLSearchParams {
  const asked = new URLSearchParams();
  for (const name of unknown) {
    if (query.get(name) && query.get(name) !== 'false')
      throw badRequest(`a serial console's log knows no ${name}: it knows follow, tailLines and limitBytes`);
  }
  copyCount(query, asked, 'tailLines', 0);
  copyCount(query, asked, 'limitBytes', 1);
  if (isTrue(query.get('follow'))) asked.set('follow', 'true');
  return asked;
}

function copyCount(from: URLSearchParams, to: URLSearchParams, name: string, least: number): void {
  const text = from.get(name);
  if (!text) return;
  if (!/^\d{1,15}$/.test(text) || Number(text) < least)
    throw badRequest(`${name} must be a whole number, at least ${least}, not "${text}"`);
  to.set(name, text);
}
