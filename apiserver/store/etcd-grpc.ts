/**
 * What etcd3 does not offer: a raw watch stream (its own watcher dies for good when its revision is compacted) and the status of one
 * given endpoint. The protocol files are those that etcd3 ships.
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
  /** The version of the server's program, such as 3.4.23. */
  version(timeoutMs: number): Promise<string>;
}

/**
 * For every connection to etcd. Messages: a list of a few thousand objects is larger than gRPC's 4 MiB. Keepalive: a peer that
 * vanished without a word is noticed within 15 s. Reconnect: the default waits up to two minutes after an outage.
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
};

interface WatchClient extends grpc.Client {
  watch(): WatchStream;
}

interface MaintenanceClient extends grpc.Client {
  status(request: object, options: grpc.CallOptions, callback: StatusCallback): void;
}

type StatusCallback = (error: grpc.ServiceError | null, response?: { readonly version: string }) => void;

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
  return {
    address,
    openWatch: () => watch.watch(),
    version: (timeoutMs) =>
      new Promise((resolve, reject) => {
        const options = { deadline: Date.now() + timeoutMs, waitForReady: true };
        maintenance.status({}, options, (error, response) =>
          error ? reject(error) : resolve(response?.version ?? ''),
        );
      }),
    [Symbol.dispose]() {
      watch.close();
      maintenance.close();
    },
  };
}
