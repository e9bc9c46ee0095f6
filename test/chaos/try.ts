import { VirtualMachine } from '#lib/api/generated/index.ts';
import { namespace, World } from './world.ts';
const seed = Number(process.argv[2] ?? 1);
const t0 = performance.now();
const world = new World({ seed, hosts: 3, tampering: { request: (_f, _t, _p, body) => ({ body }), chunk: (_f, _t, c) => [c] }, witness: { started() {}, cut() {} } });
await world.start();
for (const name of ['a', 'b', 'c'])
  await world.api.create(VirtualMachine, { apiVersion: 'computefactory.io/v1alpha1', kind: 'VirtualMachine', metadata: { name, namespace }, spec: { image: { name: 'debian' }, resources: { cores: 2, memory: '1Gi' }, runPolicy: 'Always', networks: [{ subnet: 'net' }] } as never });
for (const s of [10, 20, 30, 60]) {
  await world.clock.advance(s * 1000);
  console.log(s, (await world.api.list(VirtualMachine)).items.map((v) => `${v.metadata.name} ${v.status?.phase} ${v.status?.attempt?.host} ${JSON.stringify(v.status?.conditions?.find((c) => c.status === 'False'))}`), world.hosts.map((h) => h.host.live().length));
}
console.log('started', performance.now() - t0);
await world.clock.advance(3600_000);
console.log(performance.now() - t0, world.traceHash, world.failures);
world[Symbol.dispose]();
