/** JSON as Mesos writes it (3rdparty/stout, jsonify.hpp): a double that is whole is 15.0. */
import { stringifyLossless } from '#mesos/json.ts';

/** Every field of the protocol that is a double. None of these names is an integer anywhere. */
const doubles = ['value', 'timestamp', 'failover_timeout', 'heartbeat_interval_seconds', 'refuse_seconds', 'weight'];
const times = ['start_time', 'elected_time', 'build_time', 'unregistered_time'];
// A quote within a text is escaped, so this can only be a key.
const wholeDouble = new RegExp(`"(?:${[...doubles, ...times].join('|')})":-?\\d+(?=[,}\\]])`, 'g');

export function mesosJson(value: unknown): string {
  return stringifyLossless(value).replace(wholeDouble, '$&.0');
}
