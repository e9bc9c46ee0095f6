/**
 * The texts that the steps of a live migration hand from host to host: JSON, written by one hypervisor driver and read by the same driver elsewhere. They
 * come from another machine: what is read here has its form, and whether it is true is for the driver to see.
 */
import { MachineError } from './hypervisor.ts';

export const moveTextBytesMax = 4 * 2 ** 20;
const namesMax = 256;

/** What both hosts must agree on before anything is sent. Each list is in the guest's own order. */
export interface MoveShape {
  readonly cores: number;
  readonly memoryMiB: number;
  readonly macs: readonly string[];
  readonly dataDisks: readonly string[];
  /** What else the guest sees, in the hypervisor's words. */
  readonly devices: readonly string[];
}

/** Throws a RangeError for one that the other host would refuse. */
export function writeMoveText(fields: Readonly<Record<string, unknown>>): string {
  const text = JSON.stringify(fields);
  if (Buffer.byteLength(text) > moveTextBytesMax)
    throw new RangeError(`Cannot hand over a migration with a text of ${Buffer.byteLength(text)} bytes`);
  return text;
}

/** Every method throws an Error that names the field if it is not there in this form. */
export class MoveText {
  readonly #fields: Readonly<Record<string, unknown>>;

  /** `step`: which one wrote it, for messages. */
  constructor(text: string, step: string) {
    if (Buffer.byteLength(text) > moveTextBytesMax)
      throw new Error(`What the other host says of "${step}" is longer than ${moveTextBytesMax} bytes`);
    let fields: unknown;
    try {
      fields = JSON.parse(text);
    } catch (cause) {
      throw new Error(`What the other host says of "${step}" is no JSON`, { cause });
    }
    if (typeof fields !== 'object' || fields === null || Array.isArray(fields))
      throw new Error(`What the other host says of "${step}" is no object`);
    this.#fields = fields as Record<string, unknown>;
    if (this.#fields.step !== step)
      throw new Error(`The other host speaks of the step ${JSON.stringify(this.#fields.step)}, not of "${step}"`);
  }

  string(name: string): string {
    const value = this.#fields[name];
    if (typeof value !== 'string') throw this.#wrong(name);
    return value;
  }

  flag(name: string): boolean {
    const value = this.#fields[name];
    if (typeof value !== 'boolean') throw this.#wrong(name);
    return value;
  }

  /** A whole number, not negative. */
  count(name: string): number {
    const value = this.#fields[name];
    if (!isCount(value)) throw this.#wrong(name);
    return value;
  }

  /** undefined if it is not there. */
  optionalCount(name: string): number | undefined {
    return this.#fields[name] === undefined ? undefined : this.count(name);
  }

  strings(name: string): readonly string[] {
    const value = this.#fields[name];
    const isRight = Array.isArray(value) && value.length <= namesMax && value.every((each) => typeof each === 'string');
    if (!isRight) throw this.#wrong(name);
    return value as readonly string[];
  }

  counts(name: string): readonly number[] {
    const value = this.#fields[name];
    if (!Array.isArray(value) || value.length > namesMax || !value.every(isCount)) throw this.#wrong(name);
    return value;
  }

  bytes(name: string): Buffer {
    const text = this.string(name);
    const bytes = Buffer.from(text, 'base64');
    if (bytes.toString('base64') !== text) throw this.#wrong(name);
    return bytes;
  }

  shape(): MoveShape {
    return {
      cores: this.count('cores'),
      memoryMiB: this.count('memoryMiB'),
      macs: this.strings('macs'),
      dataDisks: this.strings('dataDisks'),
      devices: this.strings('devices'),
    };
  }

  #wrong(name: string): Error {
    return new Error(`The other host says nothing that could be "${name}" of a migration`);
  }
}

/** Throws a MachineError that says in what they differ. */
export function requireSameShape(here: MoveShape, there: MoveShape): void {
  const fields = ['cores', 'memoryMiB', 'macs', 'dataDisks', 'devices'] as const;
  const other = fields.find((name) => JSON.stringify(here[name]) !== JSON.stringify(there[name]));
  if (other === undefined) return;
  if (other === 'devices') throw new MachineError(unmovable.otherwise);
  const [mine, yours] = [here, there].map((shape) => JSON.stringify(shape[other]));
  throw new MachineError(`The machine cannot be moved: it has the ${other} ${mine}, and would have ${yours} there`);
}

/** What a move cannot be made for, whatever the hypervisor: in words for the user. */
export const unmovable = {
  off: 'The machine does not run',
  leaving: 'The machine is being moved already',
  broken: 'The machine cannot be moved while it is paused because a disk of it fails',
  otherwise:
    'The machine cannot be moved: it was started with other devices than it would have there; restart it first',
  volumes: 'The machine cannot be moved while it runs: it has volumes',
  restored:
    'The machine cannot be moved while it runs: its disk was restored from a snapshot and does not stand on its image',
} as const;

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
