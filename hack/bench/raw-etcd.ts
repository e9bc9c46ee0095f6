/** What figures do with etcd itself, beside the API server: fill it, and measure it as the baseline. */
import { Etcd3 } from 'etcd3';

export type RawEtcd = Disposable & { readonly client: Etcd3 };

/** Lists of many objects are larger than gRPC's own limit for messages. */
export function rawEtcd(endpoint: string): RawEtcd {
  const client = new Etcd3({ hosts: endpoint, grpcOptions: { 'grpc.max_receive_message_length': -1 } });
  return { client, [Symbol.dispose]: () => client.close() };
}

const writers = 64;

/** Work on each item, 64 at a time. */
export async function together<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: writers }, async () => {
      for (let item = items[next++]; item !== undefined; item = items[next++]) await work(item);
    }),
  );
}
