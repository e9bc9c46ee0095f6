/**
 * The files of images that are uploaded: GET tells what is there, PUT adds a piece to it. Whoever sends waits for 100 (Continue), so that a
 * refusal comes before the bytes. What goes wrong is told as a line of text, for people.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { UploadState } from '#lib/api/host-endpoint.ts';
import { messageOf } from '#lib/std/errors.ts';
import { UploadError, type UploadPiece } from '../images/uploads.ts';
import type { ConsoleOptions } from './server.ts';

const statusOf: Readonly<Record<UploadError['kind'], number>> = {
  ...{ taken: 409, elsewhere: 409, mistaken: 400, tooLarge: 413, brokeOff: 503, cannot: 503 },
};
/** What still comes of a refused body is thrown away for so long: cut at once, the refusal might not arrive. */
const lingerMs = 2_000;

type Options = Pick<ConsoleOptions, 'uploads' | 'clock' | 'log'>;

/** The result never rejects. */
export function uploadAnswering(
  options: Options,
): (uid: string, request: IncomingMessage, response: ServerResponse, over: AbortSignal) => Promise<void> {
  return async (uid, request, response, over) => {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    let begun = request.headers.expect === undefined;
    const begin = (): void => {
      if (!begun) response.writeContinue();
      begun = true;
    };
    try {
      const signal = AbortSignal.any([gone.signal, over]);
      const state = await answer(options, uid, { request, begin, signal });
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(state));
    } catch (error) {
      refuse(options, { uid, request, response, begun, error });
    }
  };
}

interface Exchange {
  readonly request: IncomingMessage;
  /** Asks for the bytes. */
  readonly begin: () => void;
  readonly signal: AbortSignal;
}

async function answer({ uploads }: Options, uid: string, { request, begin, signal }: Exchange): Promise<UploadState> {
  if (request.method === 'GET') return await uploads.state(uid);
  if (request.method !== 'PUT') throw new UploadError('mistaken', 'The host does not serve this');
  return await uploads.receive(pieceOf(uid, request), request, { begin, signal });
}

function pieceOf(uid: string, { url = '' }: IncomingMessage): UploadPiece {
  const query = new URLSearchParams(url.split('?')[1] ?? '');
  const numberOf = (name: string): number => {
    const text = query.get(name) ?? '';
    const value = Number(text);
    if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(value))
      throw new UploadError('mistaken', `${name} must be a number of bytes, not "${text}"`);
    return value;
  };
  const [offset, size, maxVirtualSize] = [numberOf('offset'), numberOf('size'), numberOf('maxVirtualSize')];
  const sha256 = query.get('sha256') ?? '';
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw new UploadError('mistaken', 'sha256 must be that of the file, 64 digits');
  if (offset > size) throw new UploadError('mistaken', `The file has ${size} bytes: nothing begins at ${offset}`);
  return { uid, offset, size, sha256, maxVirtualSize };
}

interface Refused {
  readonly uid: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Bytes may be on their way. */
  readonly begun: boolean;
  readonly error: unknown;
}

/** What is no refusal is of the host, and not for users. */
function refuse({ clock, log }: Options, { uid, request, response, begun, error }: Refused): void {
  const told =
    error instanceof UploadError ? error : new UploadError('cannot', 'The host cannot answer now', { cause: error });
  if (told.cause !== undefined) log.info('An upload was not taken', { uid, reason: messageOf(told) });
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  response.writeHead(statusOf[told.kind], { 'content-type': 'text/plain; charset=utf-8', connection: 'close' });
  response.write(told.message);
  if (!begun || request.complete || request.destroyed) {
    response.end();
    return;
  }
  const close = (): void => {
    timer[Symbol.dispose]();
    request.off('end', close).off('close', close);
    response.end();
  };
  const timer = clock.timeout(close, lingerMs);
  request.on('end', close).on('close', close).resume();
}
