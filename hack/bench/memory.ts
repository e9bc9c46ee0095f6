/**
 * P6: what objects cost the API server in memory, at 1,000, 10,000 and 100,000 of them (1 KiB, written straight into etcd), after a full
 * collection; then the peak that 16 lists of all of them at once add. Bytes per 10,000 objects are against the server without any.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { machineKey, storedMachine } from './machine-object.ts';
import { rawEtcd, together } from './raw-etcd.ts';
import { type BenchServer, startBenchServer } from './server.ts';

const sizes = [1_000, 10_000, 100_000];
const lists = 16;
const mib = 1024 * 1024;

export async function memory(): Promise<readonly string[]> {
  await using server = await startBenchServer();
  using etcd = rawEtcd(server.etcd);
  const empty = { heap: await server.collectedHeap(), rss: memoryOf(server.pid(), 'VmRSS') };
  const lines: string[] = [];
  let made = 0;
  for (const size of sizes) {
    const names = Array.from({ length: size - made }, (_, index) => `vm-${made + index}`);
    await together(names, (name) => etcd.client.put(machineKey(name)).value(storedMachine(name)).exec());
    made = size;
    // A fresh process: what writing has left behind is not what the objects cost.
    await server.crash();
    const before = await list(server);
    if (before.items !== size) throw new Error(`${size} objects were written, ${before.items} are listed`);
    const heap = await server.collectedHeap();
    const rss = memoryOf(server.pid(), 'VmRSS');
    forgetPeak(server.pid());
    const answers = await Promise.all(Array.from({ length: lists }, () => list(server)));
    if (answers.some(({ items }) => items !== size)) throw new Error('A list was not whole');
    const peak = memoryOf(server.pid(), 'VmHWM') - rss;
    const per10k = (bytes: number) => ((bytes / size) * 10_000) / mib;
    lines.push(
      `P6 objects=${size} heapMiBPer10k=${per10k(heap - empty.heap).toFixed(1)} rssMiBPer10k=${per10k(rss - empty.rss).toFixed(1)} floor=100 goal=40 lists=${lists} addedPeakMiB=${(peak / mib).toFixed(0)} floor=512 goal=64`,
    );
  }
  return lines;
}

/** A figure of /proc/PID/status, in bytes. */
function memoryOf(pid: number, name: 'VmRSS' | 'VmHWM'): number {
  const line = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  if (!line) throw new Error(`Cannot read ${name} of process ${pid}`);
  return Number(line[1]) * 1024;
}

/** VmHWM begins anew. */
function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

/** The number of objects in a whole list, counted in the bytes as they come: a parsed list would be ours to keep, not the server's. */
async function list({ admin }: BenchServer): Promise<{ readonly items: number }> {
  const path = '/apis/computefactory.io/v1alpha1/virtualmachines';
  const request = get({
    ...{ host: '127.0.0.1', port: admin.port, ca: admin.ca, agent: false, path },
    headers: { authorization: `Bearer ${admin.token}` },
  });
  const mark = '"creationTimestamp"';
  return await new Promise((resolve, reject) => {
    request.on('error', reject).on('response', (response) => {
      if (response.statusCode !== 200) reject(new Error(`A list was answered with ${response.statusCode}`));
      let rest = '';
      let items = 0;
      response.setEncoding('latin1').on('error', reject);
      response.on('data', (chunk: string) => {
        const parts = (rest + chunk).split(mark);
        items += parts.length - 1;
        rest = parts.at(-1)!.slice(-(mark.length - 1));
      });
      response.on('end', () => resolve({ items }));
    });
  });
}
