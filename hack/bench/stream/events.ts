/** What a master says to a framework in a storm: updates of many tasks with offers among them, of the size of the recorded ones. */
import { seededRandom } from '#lib/std/random.ts';
import { encodeRecord } from '#mesos/recordio.ts';
import type { SchedulerEvent } from '#mesos/types.ts';

export const updates = 100_000;
export const offers = 10_000;
const updatesPerTask = 2;
const agents = 1_000;
const maxChunk = 16_384;
const framework = { value: 'cf-0b6f2f6e-3c1e-4a5b-9f42-6c0f5d8e7a11' };

const agentOf = (index: number) => ({ value: `5a2b7c9d-4a58-4d3a-9a7e-0e6b9d1c3f55-S${index % agents}` });
const base64 = (text: string) => Buffer.from(text).toString('base64');

export const subscribed: SchedulerEvent = {
  type: 'SUBSCRIBED',
  subscribed: { framework_id: framework, heartbeat_interval_seconds: 15 },
};

function update(index: number): SchedulerEvent {
  const task = Math.floor(index / updatesPerTask);
  const state = index % updatesPerTask === 0 ? 'TASK_STARTING' : 'TASK_RUNNING';
  const uid = `00000000-0000-4000-8000-${String(task).padStart(12, '0')}`;
  return {
    type: 'UPDATE',
    update: {
      status: {
        task_id: { value: `vm-${uid}-1` },
        state,
        source: 'SOURCE_EXECUTOR',
        message: 'The domain was seen running',
        agent_id: agentOf(task),
        executor_id: { value: 'computefactory-8d3f2a11' },
        timestamp: 1_767_225_600 + index / 1000,
        uuid: base64(String(index).padStart(16, '0')),
        healthy: true,
        container_status: {
          container_id: { value: `7f1c2f6e-3c1e-4a5b-9f42-${String(task).padStart(12, '0')}` },
          network_infos: [{ ip_addresses: [{ protocol: 'IPv4', ip_address: '10.66.10.14' }] }],
        },
      },
    },
  } as SchedulerEvent;
}

function offer(index: number): SchedulerEvent {
  const scalar = (name: string, value: number) => ({
    name,
    type: 'SCALAR' as const,
    scalar: { value },
    allocation_info: { role: 'computefactory' },
  });
  const agent_id = agentOf(index);
  const hostname = `host-${index % agents}.lab.example`;
  return {
    type: 'OFFERS',
    offers: {
      offers: [
        {
          id: { value: `5a2b7c9d-4a58-4d3a-9a7e-0e6b9d1c3f55-O${index}` },
          framework_id: framework,
          agent_id,
          hostname,
          url: { scheme: 'http', address: { hostname, ip: '10.1.2.3', port: 5051 }, path: '/slave(1)' },
          allocation_info: { role: 'computefactory' },
          attributes: [{ name: 'rack', type: 'TEXT', text: { value: `r${index % 40}` } }],
          resources: [
            scalar('cpus', 47.5),
            scalar('mem', 195_584),
            scalar('disk', 1_000_000),
            {
              name: 'ports',
              type: 'RANGES',
              ranges: { range: [{ begin: 31_000, end: 32_000 }] },
              allocation_info: { role: 'computefactory' },
            },
          ],
        },
      ],
    },
  } as unknown as SchedulerEvent;
}

/** The stream after SUBSCRIBED, cut at random places. The same every time. */
export function stormInChunks(): readonly Buffer[] {
  const random = seededRandom(10);
  const records: Buffer[] = [];
  const perOffer = updates / offers;
  for (let index = 0; index < updates; index += 1) {
    records.push(encodeRecord(update(index)));
    if (index % perOffer === 0) records.push(encodeRecord(offer(index / perOffer)));
  }
  const bytes = Buffer.concat(records);
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + 1 + Math.floor(random.next() * maxChunk));
    chunks.push(bytes.subarray(at, end));
    at = end;
  }
  return chunks;
}
