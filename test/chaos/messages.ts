/** What may happen to each message, by chance. Zero of everything unless a fault is on. */
import type { Random } from '#lib/std/random.ts';
import type { SchedulerEvent } from '#mesos/types.ts';
import type { Tampering } from './network.ts';

export interface Chances {
  /** Of what Mesos itself may lose: KILL, MESSAGE and acknowledgements, on every leg. */
  lost: number;
  duplicated: number;
  /** Answered 500 or 503 in the server's stead. */
  refused: number;
  /** Processed, and the connection breaks before the answer is there. */
  answerLost: number;
  /** Likewise, of what launches. */
  launchUnanswered: number;
  /** The stream breaks in the middle of a record. */
  torn: number;
  /** HEARTBEAT and PING that never come. */
  skipped: number;
  /** Acknowledgements arrive up to so much later. */
  ackDelayMs: number;
  /** Offers that something happens to while they are considered. */
  disturbedOffers: number;
}

const calm: Chances = {
  ...{
    lost: 0,
    duplicated: 0,
    refused: 0,
    answerLost: 0,
    launchUnanswered: 0,
    torn: 0,
    skipped: 0,
    ackDelayMs: 0,
    disturbedOffers: 0,
  },
};
const bestEffort = /"type":"(KILL_TASK|MESSAGE|ACKNOWLEDGE|ACKNOWLEDGED|KILL)"/;

export class Messages implements Tampering {
  readonly #random: Random;
  #chances: Chances = { ...calm };
  /** Agents of offers that are on their way to a framework. */
  onOffers: (agentIds: readonly string[]) => void = () => undefined;

  constructor(random: Random) {
    this.#random = random;
  }

  set(chances: Partial<Chances>): void {
    Object.assign(this.#chances, chances);
  }

  calm(): void {
    this.#chances = { ...calm };
  }

  request(_from: string, _to: string, path: string, body: string): ReturnType<Tampering['request']> {
    const { refused, answerLost, launchUnanswered, lost, ackDelayMs } = this.#chances;
    if (this.#happens(refused)) return { body, status: this.#random.next() < 0.5 ? 500 : 503 };
    if (path.startsWith('/mesos-local/')) return { body: path.endsWith('/calls') ? this.#batch(body) : body };
    if (this.#happens(lost) && /"type":"(KILL|MESSAGE|ACKNOWLEDGE)"/.test(body)) return { body, status: 202 };
    const isAck = ackDelayMs > 0 && body.includes('"type":"ACKNOWLEDGE"');
    const delayMs = isAck ? Math.floor(this.#random.next() * ackDelayMs) : 0;
    return {
      body,
      delayMs,
      loseAnswer: this.#happens(body.includes('"type":"LAUNCH"') ? answerLost + launchUnanswered : answerLost),
    };
  }

  chunk(_from: string, _to: string, chunk: Buffer): ReturnType<Tampering['chunk']> {
    const { lost, duplicated, torn, skipped, disturbedOffers } = this.#chances;
    if (lost + duplicated + torn + skipped + disturbedOffers === 0) return { pieces: [chunk] };
    const text = chunk.toString();
    if (this.#happens(disturbedOffers) && text.includes('"type":"OFFERS"')) this.onOffers(agentsOf(text));
    if (this.#happens(skipped) && /"type":"(HEARTBEAT|PING)"/.test(text)) return { pieces: [] };
    if (this.#happens(lost) && bestEffort.test(text)) return { pieces: [] };
    const cutAt = Math.floor(this.#random.next() * chunk.length);
    if (this.#happens(torn)) return { pieces: [chunk.subarray(0, cutAt)], torn: true };
    if (this.#happens(duplicated) && /"type":"(UPDATE|MESSAGE|KILL)"/.test(text)) return { pieces: [chunk, chunk] };
    return { pieces: this.#random.next() < 0.1 ? [chunk.subarray(0, cutAt), chunk.subarray(cutAt)] : [chunk] };
  }

  /** What an agent reports. Updates are kept by its status update manager, the rest is best effort. */
  #batch(body: string): string {
    const { lost, duplicated } = this.#chances;
    if (lost === 0 && duplicated === 0) return body;
    const calls = JSON.parse(body) as { messages: { type: string }[] };
    const messages = calls.messages.flatMap((message) => {
      if (this.#happens(lost)) return [];
      return this.#happens(duplicated) ? [message, message] : [message];
    });
    return JSON.stringify({ ...calls, messages });
  }

  #happens(chance: number): boolean {
    return chance > 0 && this.#random.next() < chance;
  }
}

function agentsOf(record: string): readonly string[] {
  const event = JSON.parse(record.slice(record.indexOf('\n') + 1)) as SchedulerEvent;
  return event.type === 'OFFERS' ? event.offers.offers.map(({ agent_id }) => agent_id.value) : [];
}
