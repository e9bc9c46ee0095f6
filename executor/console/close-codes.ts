/** Why the host closes a WebSocket: close codes of RFC 6455 and of our own. */
export const closeCode = { notUnderstood: 1003, tooSlow: 1013, noConsole: 4404 } as const;

/** A client that reads slower than its guest writes is cut off when this much waits for it. */
export const maxBufferedBytes = 4_194_304;
