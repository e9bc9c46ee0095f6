/**
 * P8, the API server's part: kill -9 at 10,000 and 100,000 objects, started again, milliseconds until /readyz is ok, which it is when every
 * watch cache has its list; against a raw list of the same keys from etcd in the same run, and with what an empty server needs taken off.
 */
import { systemClock } from '#lib/std/clock.ts';
import { median } from './compare.ts';
import { machineKey, storedMachine } from './machine-object.ts';
import { type RawEtcd, rawEtcd, together } from './raw-etcd.ts';
import { startBenchServer } from './server.ts';

const sizes = [10_000, 100_000];
const rounds = 3;

export async function restart(): Promise<readonly string[]> {
  await using server = await startBenchServer();
  using etcd = rawEtcd(server.etcd);
  const emptyMs = await repeat(() => server.crash());
  const lines: string[] = [];
  let made = 0;
  for (const size of sizes) {
    const names = Array.from({ length: size - made }, (_, index) => `vm-${made + index}`);
    await together(names, (name) => etcd.client.put(machineKey(name)).value(storedMachine(name)).exec());
    made = size;
    const readyMs = await repeat(() => server.crash());
    const rawMs = await repeat(() => rawList(etcd, size));
    lines.push(
      `P8 objects=${size} readyMs=${readyMs.toFixed(0)} emptyMs=${emptyMs.toFixed(0)} rawListMs=${rawMs.toFixed(0)} ratio=${((readyMs - emptyMs) / rawMs).toFixed(1)} goal=10 floorMs=15000 goalMs=2000`,
    );
  }
  return lines;
}

async function repeat(measure: () => Promise<number>): Promise<number> {
  const values: number[] = [];
  for (let round = 0; round < rounds; round += 1) values.push(await measure());
  return median(values);
}

async function rawList(etcd: RawEtcd, expected: number): Promise<number> {
  const started = systemClock.monotonic();
  const keys = await etcd.client.getAll().prefix(machineKey('')).buffers();
  if (Object.keys(keys).length !== expected) throw new Error('The raw list is not whole');
  return systemClock.monotonic() - started;
}
