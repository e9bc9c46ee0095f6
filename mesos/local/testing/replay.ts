/**
 * Plays the client's part of a recording against a local Mesos and compares what comes back. Ids that the recorded Mesos made are
 * replaced by those that ours made in the same place.
 */
import { join } from 'node:path';
import { request } from 'undici';
import { decodeRecords } from '#mesos/recordio.ts';
import type { Step } from '../../testing/recorded-steps.ts';
import { type Cluster, eventually } from './cluster.ts';
import { offerShape, shapeOf, text } from './events.ts';

type Event = { readonly type: string } & { readonly [key: string]: unknown };
interface OfferLike {
  readonly id: { value: string };
  readonly agent_id: { value: string };
  readonly hostname: string;
}

interface Stream {
  readonly events: Event[];
  readonly offers: OfferLike[];
  ended: boolean;
  readonly abort: AbortController;
  head?: { status: number; headers: Record<string, unknown>; body: string };
}

export interface Report {
  compared: number;
  /** Answers of 400 and more among them. */
  refusals: number;
  readonly differences: string[];
}

/** The host whose agent API was recorded. */
const recordedHost = 'host1.lab';
const labCommand = 'exec /usr/local/lib/mesoslab/py3.11.7/python3 /srv/mesoslab/lab_executor.py';
const labExecutor = `exec ${process.execPath} ${join(import.meta.dirname, 'lab-executor.ts')}`;

export class Replay {
  readonly report: Report = { compared: 0, refusals: 0, differences: [] };
  readonly #cluster: Cluster;
  readonly #closedByUs: ReadonlySet<string>;
  readonly #beforeOpening: (stream: string) => Promise<void>;
  /** Uuids of updates that were compared: an update that is sent again is no news. */
  readonly #seen = new Set<string>();
  readonly #ids = new Map<string, string>();
  readonly #streams = new Map<string, Stream>();
  readonly #answers: Promise<{ status: number; body: string }>[] = [];
  readonly #withinMs: number;

  /**
   * `closedByUs`: streams that the recorded client closed itself, which the recording does not tell. `beforeOpening` waits for what the
   * recorded client waited for by the clock.
   */
  constructor(
    cluster: Cluster,
    closedByUs: readonly string[] = [],
    beforeOpening: (stream: string) => Promise<void> = async () => {},
    withinMs = 9000,
  ) {
    this.#cluster = cluster;
    this.#closedByUs = new Set(closedByUs);
    this.#beforeOpening = beforeOpening;
    this.#withinMs = withinMs;
  }

  async play(steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      if (step.kind === 'request' && step.stream) await this.#beforeOpening(step.stream);
      if (step.kind === 'request') this.#send(step);
      else if (step.kind === 'response') await this.#compareAnswer(step);
      else if (step.kind === 'record') await this.#compareEvent(step);
      else await this.#compareEnd(step.stream);
      // A call is sent only when the one before it was answered, as the recorder did on its one connection.
      if (step.kind === 'request') await (step.stream ? this.#head(step.stream) : this.#answers.at(-1));
    }
  }

  /** Events that are news and that the recording does not have. Ends all streams. */
  finish(): Report {
    for (const [name, stream] of this.#streams) {
      stream.abort.abort();
      for (const event of stream.events) {
        if (this.#seen.has(uuidOf(event) ?? '')) continue;
        if (['UPDATE', 'FAILURE', 'ERROR', 'MESSAGE', 'RESCIND'].includes(event.type)) {
          this.report.differences.push(`${name}: not recorded: ${shapeOf(event)}`);
        }
      }
    }
    return this.report;
  }

  #translate(body: string): string {
    return body
      .replaceAll(/"([^"\\]+)"/g, (quoted, value: string) => {
        const ours = this.#ids.get(value);
        return ours === undefined ? quoted : `"${ours}"`;
      })
      .replaceAll(labCommand, labExecutor);
  }

  #urlFor(path: string): string {
    const agent = this.#cluster.agents.get(recordedHost)!;
    return `${path.endsWith('/executor') ? agent.url : this.#cluster.url}${path}`;
  }

  #send(step: Step & { kind: 'request' }): void {
    const headers: Record<string, string> = {};
    for (const name of ['content-type', 'accept', 'mesos-stream-id', 'authorization']) {
      const value = step.headers[name];
      if (value !== undefined) headers[name] = this.#ids.get(value) ?? value;
    }
    const stream = step.stream === undefined ? undefined : this.#open(step.stream);
    const answer = request(this.#urlFor(step.path), {
      method: step.method as 'POST',
      headers,
      ...(step.body !== '' && { body: this.#translate(step.body) }),
      ...(stream && { signal: stream.abort.signal, bodyTimeout: 0 }),
    });
    if (stream === undefined) {
      this.#answers.push(answer.then(async (got) => ({ status: got.statusCode, body: await got.body.text() })));
      return;
    }
    answer
      .then(async (got) => {
        stream.head = { status: got.statusCode, headers: got.headers, body: '' };
        if (got.statusCode !== 200) stream.head = { ...stream.head, body: await got.body.text() };
        else for await (const event of decodeRecords(got.body)) this.#received(stream, event as Event);
      })
      .catch((error: unknown) => stream.events.push({ type: 'BROKEN', error: String(error) }))
      .finally(() => {
        stream.ended = true;
      });
  }

  #open(name: string): Stream {
    const stream: Stream = { events: [], offers: [], ended: false, abort: new AbortController() };
    this.#streams.set(name, stream);
    return stream;
  }

  #received(stream: Stream, event: Event): void {
    const rescinded = (event.rescind as { offer_id: { value: string } } | undefined)?.offer_id.value;
    const index = stream.offers.findIndex(({ id }) => id.value === rescinded);
    if (index >= 0) {
      // Nobody had looked at it: which offers come and go between two steps is a matter of milliseconds.
      stream.offers.splice(index, 1);
      return;
    }
    if (event.type === 'OFFERS') stream.offers.push(...(event.offers as { offers: OfferLike[] }).offers);
    else if (event.type !== 'HEARTBEAT') stream.events.push(event);
  }

  #head(name: string): Promise<NonNullable<Stream['head']>> {
    return eventually(`an answer on stream ${name}`, () => this.#streams.get(name)?.head);
  }

  #note(recorded: string, ours: string | undefined): void {
    this.report.compared++;
    if (recorded !== ours) this.report.differences.push(`recorded ${recorded}\n    here ${ours ?? 'nothing'}`);
  }

  async #compareAnswer(step: Step & { kind: 'response' }): Promise<void> {
    if (step.status >= 400) this.report.refusals++;
    if (step.stream !== undefined) {
      const head = await this.#head(step.stream);
      const streamId = step.headers['mesos-stream-id'];
      if (streamId !== undefined) this.#ids.set(streamId, String(head.headers['mesos-stream-id']));
      this.#note(`${step.status} ${step.body}`, `${head.status} ${head.body}`);
      return;
    }
    const answer = await this.#answers.shift();
    if (answer === undefined) throw new Error('The recording has an answer without a request');
    // What operators read is compared by its type alone: it is full of what happened on that machine before.
    const isData = step.body.startsWith('{"type":"GET_');
    const [recorded, ours] = [step.body, answer.body].map((body) => (isData ? body.slice(0, 20) : text(body)));
    this.#note(`${step.status} ${recorded}`, `${answer.status} ${ours}`);
  }

  async #compareEvent(step: Step & { kind: 'record' }): Promise<void> {
    const stream = this.#streams.get(step.stream);
    if (stream === undefined || step.event.type === 'HEARTBEAT') return;
    if (step.event.type === 'OFFERS') return this.#compareOffers(stream, step.event as unknown as Event);
    if (this.#isOfStranger(step.event as Event)) return;
    const wanted = shapeOf(step.event as Event);
    const find = () => stream.events.findIndex((event) => shapeOf(event) === wanted);
    await eventually(wanted, () => find() >= 0 || undefined, this.#withinMs).catch(() => undefined);
    const index = find();
    const found = index < 0 ? undefined : stream.events.splice(index, 1)[0]!;
    if (found !== undefined) {
      this.#learn(step.event, found);
      this.#seen.add(uuidOf(found) ?? 'none');
    }
    this.#note(wanted, found && shapeOf(found));
  }

  /** The loss of an agent that the recorded cluster had from before. */
  #isOfStranger({ type, failure }: Event): boolean {
    const agent = (failure as { agent_id?: { value: string } } | undefined)?.agent_id?.value;
    return type === 'FAILURE' && agent !== undefined && !this.#ids.has(agent);
  }

  async #compareOffers(stream: Stream, event: Event): Promise<void> {
    for (const recorded of (event.offers as { offers: OfferLike[] }).offers) {
      const wanted = offerShape(recorded as never);
      const find = (isIt: (offer: OfferLike) => boolean) =>
        stream.offers.findIndex((offer) => offer.hostname === recorded.hostname && isIt(offer));
      // What was free when an offer was made differs: another one of the host may be the one that was recorded.
      const isSame = (offer: OfferLike) => offerShape(offer as never) === wanted;
      const what = `an offer of ${recorded.hostname}`;
      await eventually(what, () => find(isSame) >= 0 || undefined, this.#withinMs).catch(() => undefined);
      const index = find(isSame) < 0 ? find(() => true) : find(isSame);
      const [ours] = index < 0 ? [] : stream.offers.splice(index, 1);
      if (ours !== undefined) {
        this.#ids.set(recorded.id.value, ours.id.value);
        this.#ids.set(recorded.agent_id.value, ours.agent_id.value);
      }
      this.#note(wanted, ours && offerShape(ours as never));
    }
  }

  /** The same places of two events that are alike hold ids of the same things. */
  #learn(recorded: unknown, ours: unknown): void {
    if (typeof recorded === 'string' && typeof ours === 'string') {
      if (recorded !== ours) this.#ids.set(recorded, ours);
    } else if (typeof recorded === 'object' && recorded !== null && typeof ours === 'object' && ours !== null) {
      for (const [key, value] of Object.entries(recorded)) this.#learn(value, (ours as Record<string, unknown>)[key]);
    }
  }

  async #compareEnd(name: string): Promise<void> {
    const stream = this.#streams.get(name);
    if (stream === undefined) return;
    if (this.#closedByUs.has(name)) stream.abort.abort();
    await eventually(`the end of stream ${name}`, () => stream.ended || undefined, this.#withinMs).catch(
      () => undefined,
    );
    this.#note(`end of ${name}`, stream.ended ? `end of ${name}` : undefined);
    if (this.#closedByUs.has(name)) this.#streams.delete(name);
  }
}

function uuidOf(event: Event): string | undefined {
  return (event.update as { status: { uuid?: string } } | undefined)?.status.uuid;
}

export async function replayFile(
  cluster: Cluster,
  steps: readonly Step[],
  closedByUs?: readonly string[],
  beforeOpening?: (stream: string) => Promise<void>,
): Promise<Report> {
  const replay = new Replay(cluster, closedByUs, beforeOpening);
  await replay.play(steps);
  return replay.finish();
}
