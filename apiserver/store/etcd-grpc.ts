/**
 * What etcd3 does not offer: a raw watch stream (its own watcher dies for good when its revision is compacted) and the maintenance of
 * one given member. The protocol files are those that etcd3 ships.
 */
import { createRequire } from 'node:module';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/** As for https: a root, and the client's certificate if the server asks for one. PEM. */
export interface EtcdTls {
  readonly rootCertificate: Buffer;
  readonly privateKey?: Buffer;
  readonly certChain?: Buffer;
}

/** int64 fields are decimal strings. Field names are those of etcd's rpc.proto. */
export interface WireKeyValue {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly create_revision: string;
  readonly mod_revision: string;
}

export interface WireEvent {
  readonly type: 'Put' | 'Delete';
  readonly kv: WireKeyValue;
  readonly prev_kv: WireKeyValue | null;
}

export interface WireWatchResponse {
  readonly header: { readonly revision: string };
  readonly created: boolean;
  readonly canceled: boolean;
  readonly compact_revision: string;
  readonly cancel_reason: string;
  /** True if more events of the same revision follow in the next response. */
  readonly fragment: boolean;
  readonly events: readonly WireEvent[];
}

export type WatchStream = grpc.ClientDuplexStream<object, WireWatchResponse>;

export interface EtcdEndpoint extends Disposable {
  readonly address: string;
  openWatch(): WatchStream;
  status(timeoutMs: number): Promise<MemberStatus>;
  /** Gives the space that compaction left back to the file system. The member answers nobody meanwhile. */
  defragment(timeoutMs: number): Promise<unknown>;
  /** Members that refuse writes because their quota is used up. */
  fullMembers(timeoutMs: number): Promise<string[]>;
  /** Lets such a member write again. */
  disarm(member: string, timeoutMs: number): Promise<unknown>;
}

export interface MemberStatus {
  /** Of the server's program, such as 3.4.23. */
  readonly version: string;
  /** Bytes of its file, which is what the quota counts. */
  readonly dbSize: string;
}

/**
 * For every connection to etcd. Messages: a list of a few thousand objects is larger than gRPC's 4 MiB. Keepalive: a peer that
 * vanished without a word is noticed within 15 s. Reconnect: the default waits up to two minutes after an outage. Retries and channelz: who
 * repeats a write must know what became of the first, and nobody asks for the statistics; each costs time on every call.
 */
export const channelOptions: grpc.ChannelOptions = {
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
  'grpc.enable_retries': 0,
  'grpc.enable_channelz': 0,
};

interface WatchClient extends grpc.Client {
  watch(): WatchStream;
}

type Unary<Answer> = (
  request: object,
  options: grpc.CallOptions,
  callback: (error: grpc.ServiceError | null, answer?: Answer) => void,
) => void;

interface MaintenanceClient extends grpc.Client {
  status: Unary<MemberStatus>;
  defragment: Unary<object>;
  alarm: Unary<{ readonly alarms: readonly { readonly memberID: string; readonly alarm: string }[] }>;
}

interface EtcdServices {
  readonly etcdserverpb: {
    readonly Watch: new (address: string, tls: grpc.ChannelCredentials, options: grpc.ChannelOptions) => WatchClient;
    readonly Maintenance: new (
      address: string,
      tls: grpc.ChannelCredentials,
      options: grpc.ChannelOptions,
    ) => MaintenanceClient;
  };
}

let loaded: EtcdServices | undefined;

function services(): EtcdServices {
  if (loaded) return loaded;
  const file = createRequire(import.meta.url).resolve('etcd3/proto/rpc.proto');
  const definition = loadSync(file, { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true });
  loaded = grpc.loadPackageDefinition(definition) as unknown as EtcdServices;
  return loaded;
}

/** A connection to one member, made when it is first used. */
export function etcdEndpoint(address: string, tls?: EtcdTls): EtcdEndpoint {
  const { Watch, Maintenance } = services().etcdserverpb;
  const credentials = tls
    ? grpc.credentials.createSsl(tls.rootCertificate, tls.privateKey, tls.certChain)
    : grpc.credentials.createInsecure();
  const watch = new Watch(address, credentials, channelOptions);
  const maintenance = new Maintenance(address, credentials, channelOptions);
  const noSpace = 'Nospace';
  const call = <Answer>(method: Unary<Answer>, request: object, timeoutMs: number) =>
    new Promise<Answer>((resolve, reject) => {
      const options = { deadline: Date.now() + timeoutMs, waitForReady: true };
      method.call(maintenance, request, options, (error, answer) =>
        error ? reject(error) : resolve(answer as Answer),
      );
    });
  return {
    address,
    openWatch: () => watch.watch(),
    status: (timeoutMs) => call(maintenance.status, {}, timeoutMs),
    defragment: (timeoutMs) => call(maintenance.defragment, {}, timeoutMs),
    async fullMembers(timeoutMs) {
      const { alarms } = await call(maintenance.alarm, { action: 'Get', alarm: noSpace }, timeoutMs);
      return alarms.filter(({ alarm }) => alarm === noSpace).map(({ memberID }) => memberID);
    },
    disarm: (memberID, timeoutMs) =>
      call(maintenance.alarm, { action: 'Deactivate', memberID, alarm: noSpace }, timeoutMs),
    [Symbol.dispose]() {
      watch.close();
      maintenance.close();
    },
  };
}
