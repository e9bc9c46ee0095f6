/** What Mesos itself has once all is settled: no task that nobody owns, no update that nobody acknowledged. Asked over its own APIs. */
import { Image, type VirtualMachine } from '#lib/api/generated/index.ts';
import { kindId } from '#lib/client/kind-id.ts';
import { CallQueue } from '#mesos/http.ts';
import type { World } from './world.ts';

export async function leftInMesos(world: World, machines: readonly VirtualMachine[]): Promise<readonly string[]> {
  const wrong = await ownerless(world, machines);
  for (const { host, address } of world.hosts) {
    await using agent = new CallQueue({ origin: `http://${address}:5051`, connect: world.connect }, '/metrics');
    const updates = /^mesos_local_agent_unacknowledged (\d+)$/m.exec(await agent.send({ type: 'GET' }))?.[1];
    if (updates !== '0') wrong.push(`The agent of ${host.hostname} has ${updates} updates that are not acknowledged`);
  }
  return wrong;
}

async function ownerless(world: World, machines: readonly VirtualMachine[]): Promise<string[]> {
  const images = world.api.store.list(kindId(Image)) as readonly Image[];
  const imports = images.flatMap(({ status }) => (status?.clusters ?? []).map(({ taskID }) => taskID));
  const owned = new Set([...machines.map(({ status }) => status?.attempt?.taskID), ...imports]);
  const { tasks = [] } = await world.operator.tasks();
  const strays = tasks.filter(({ task_id }) => !owned.has(task_id.value));
  return strays.map(({ task_id, state }) => `Task ${task_id.value} is ${state} and of no attempt`);
}
