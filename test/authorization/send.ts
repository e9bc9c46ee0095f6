/** Many requests over one HTTP/2 connection. Answers that go on, those of watches, are cut off at their headers. */
import { type ClientHttp2Session, connect } from 'node:http2';

export interface Sent {
  readonly status: number;
  readonly text: string;
}

export interface Outgoing {
  readonly method: string;
  readonly path: string;
  readonly token: string;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: object;
}

const deadlineMs = 30_000;

export function openSession(url: string, ca: string): ClientHttp2Session {
  return connect(url, { ca });
}

export function send(session: ClientHttp2Session, { method, path, token, headers, body }: Outgoing): Promise<Sent> {
  return new Promise((resolve, reject) => {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const stream = session.request({
      ':method': method,
      ':path': path,
      authorization: `Bearer ${token}`,
      ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    });
    let text = '';
    let status = 0;
    stream
      .setEncoding('utf8')
      .setTimeout(deadlineMs, () => stream.destroy(new Error(`No answer to ${method} ${path}`)));
    stream.on('response', (answer) => {
      status = Number(answer[':status']);
      if (status === 200 && path.includes('watch=1')) {
        resolve({ status, text });
        stream.close();
      }
    });
    stream.on('data', (chunk: string) => {
      text += chunk;
    });
    stream.on('end', () => resolve({ status, text }));
    stream.on('error', reject);
    stream.end(payload);
  });
}

/** Sends all of them, `width` at a time, and gives their answers in order. */
export async function sendAll<T extends Outgoing>(
  session: ClientHttp2Session,
  requests: readonly T[],
  width: number,
): Promise<Sent[]> {
  const answers: Sent[] = [];
  let next = 0;
  const work = async () => {
    for (let index = next++; index < requests.length; index = next++)
      answers[index] = await send(session, requests[index]!);
  };
  await Promise.all(Array.from({ length: width }, work));
  return answers;
}
