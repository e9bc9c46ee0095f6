/** The requests and answers of ZooKeeper that finding and being a leading master needs (zookeeper-jute/src/main/resources/zookeeper.jute). */
import { JuteReader, JuteWriter } from './jute.ts';

export const operations = {
  create: 1,
  exists: 3,
  getData: 4,
  getChildren: 8,
  ping: 11,
  auth: 100,
  closeSession: -11,
} as const;

/** Numbers that answers bear which are no answers to a numbered request. */
export const xids = { watch: -1, ping: -2, auth: -4 } as const;

const errorNames: Readonly<Record<number, string>> = {
  [-4]: 'ConnectionLoss',
  [-101]: 'NoNode',
  [-102]: 'NoAuth',
  [-110]: 'NodeExists',
  [-112]: 'SessionExpired',
  [-115]: 'AuthFailed',
};

/** A request that ZooKeeper refused. */
export class ZooKeeperError extends Error {
  /** As ZooKeeper names it, such as NoNode; `Error-7` for what is not known here. */
  readonly code: string;

  constructor(what: string, error: number) {
    const code = errorNames[error] ?? `Error${error}`;
    super(`ZooKeeper answered ${what} with ${code}`);
    this.name = 'ZooKeeperError';
    this.code = code;
  }
}

export function isZooKeeperError(error: unknown, code: string): boolean {
  return error instanceof ZooKeeperError && error.code === code;
}

export interface SessionId {
  readonly id: bigint;
  readonly password: Buffer;
}

/** A session that is not there yet. */
export const noSession: SessionId = { id: 0n, password: Buffer.alloc(16) };

export function connectRequest(session: SessionId, timeoutMs: number, lastZxid: bigint): Buffer {
  const message = new JuteWriter().int(0).long(lastZxid).int(timeoutMs);
  return message.long(session.id).buffer(session.password).bool(false).frame();
}

/** A timeout of 0 says that the session which was asked for has expired. */
export function readConnectAnswer(frame: Buffer): SessionId & { readonly timeoutMs: number } {
  const reader = new JuteReader(frame);
  reader.int(); // The version of the protocol, 0 since ever.
  const timeoutMs = reader.int();
  return { timeoutMs, id: reader.long(), password: Buffer.from(reader.buffer()) };
}

export function request(xid: number, operation: number, body = new JuteWriter()): Buffer {
  return new JuteWriter().int(xid).int(operation).raw(body.bytes()).frame();
}

export function pathRequest(path: string, watch: boolean): JuteWriter {
  return new JuteWriter().string(path).bool(watch);
}

/** `mode` is persistent, or the kind of a candidate: gone with its session, and numbered by ZooKeeper. */
export function createRequest(
  path: string,
  data: string,
  mode: 'persistent' | 'candidate',
  digest: boolean,
): JuteWriter {
  const message = new JuteWriter().string(path).buffer(Buffer.from(data));
  // As Mesos' masters: whoever has the password may change it, everybody may read; without a password everybody may do all.
  if (digest) message.int(2).int(allRights).string('auth').string('').int(readRight);
  else message.int(1).int(allRights);
  message.string('world').string('anyone');
  return message.int(mode === 'candidate' ? ephemeral | sequential : 0);
}

const allRights = 31;
const readRight = 1;
const ephemeral = 1;
const sequential = 2;

export function authRequest(credentials: string): JuteWriter {
  return new JuteWriter().int(0).string('digest').buffer(Buffer.from(credentials));
}

export interface AnswerHeader {
  readonly xid: number;
  readonly zxid: bigint;
  /** 0: it worked. */
  readonly error: number;
}

export function readHeader(reader: JuteReader): AnswerHeader {
  return { xid: reader.int(), zxid: reader.long(), error: reader.int() };
}

export interface NodeData {
  readonly data: Buffer;
  /** The session that the node vanishes with; 0 for one that stays. */
  readonly owner: bigint;
}

export function readData(reader: JuteReader): NodeData {
  const data = reader.buffer();
  // Stat: two transactions, two times, three versions, then the owner.
  for (let field = 0; field < 4; field++) reader.long();
  for (let field = 0; field < 3; field++) reader.int();
  return { data, owner: reader.long() };
}
