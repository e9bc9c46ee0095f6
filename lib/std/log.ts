import pino from 'pino';

/**
 * One JSON logger per program, made in its main.ts and passed down. Messages are constant text; what varies is in the fields.
 * debug: nothing to do. info: did something. warn: repaired something. error: failed. Logs are for developers: users get
 * conditions and events.
 */
export interface Log {
  debug(message: string, fields?: object): void;
  info(message: string, fields?: object): void;
  warn(message: string, fields?: object): void;
  error(message: string, fields?: object): void;
  /** A logger that adds these fields to every line. */
  child(fields: object): Log;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

function wrap(logger: pino.Logger): Log {
  return {
    debug: (message, fields = {}) => logger.debug(fields, message),
    info: (message, fields = {}) => logger.info(fields, message),
    warn: (message, fields = {}) => logger.warn(fields, message),
    error: (message, fields = {}) => logger.error(fields, message),
    child: (fields) => wrap(logger.child(fields)),
  };
}

/** Writes one JSON line per call to standard error, synchronously, so that the last line before a crash is there. */
export function jsonLog(program: string, level: LogLevel = 'info'): Log {
  const options: pino.LoggerOptions = {
    level,
    base: { program, pid: process.pid },
    messageKey: 'message',
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { error: pino.stdSerializers.errWithCause },
  };
  return wrap(pino(options, pino.destination({ fd: 2, sync: true })));
}

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => silentLog };
