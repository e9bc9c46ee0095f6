/** Conversions of the bytes fields, which Mesos' JSON carries in base64. */

/** The 16 bytes of a UUID, as TaskStatus.uuid wants them. Versions 1 to 5 only: the agent refuses others (400). */
export function encodeUuid(uuid: string): string {
  return Buffer.from(uuid.replaceAll('-', ''), 'hex').toString('base64');
}

/** `value` as JSON, for TaskInfo.data, TaskStatus.data and framework messages. */
export function encodeData(value: unknown): string {
  return Buffer.from(JSON.stringify(value), 'utf8').toString('base64');
}

/** What encodeData was given. Throws SyntaxError if the bytes are not JSON. */
export function decodeData(data: string): unknown {
  return JSON.parse(Buffer.from(data, 'base64').toString('utf8'));
}
