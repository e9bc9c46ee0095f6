import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { openRealHost, whyNoRealHost } from '#test/real-host.ts';
import { type ExecutorConfig, parseConfig } from './config.ts';
import { openHost } from './host.ts';

test.skipIf(whyNoRealHost() !== undefined)('whether guests get KVM is tried once per boot, or told', async () => {
  await using host = await openRealHost();
  const { root, socket, bootIdFile } = host;
  await mkdir(root);
  const directories = { root, imageStore: join(root, 'images'), importDir: join(root, 'import') };
  const config = parseConfig({ hypervisor: 'libvirt', ...directories, bootIdFile, libvirtSocket: socket });
  const kvmOf = async (changes: Partial<ExecutorConfig> = {}) => {
    const opened = await openHost({ ...config, ...changes }, systemClock, silentLog);
    await using hypervisor = opened.hypervisor;
    return (await hypervisor.facts()).kvm;
  };
  const first = await kvmOf();
  const file = join(root, 'kvm.json');
  const kept = JSON.parse(await readFile(file, 'utf8')) as { readonly boots: boolean };
  expect(kept.boots).toBe(first);
  await writeFile(file, JSON.stringify({ ...kept, boots: !first }));
  expect(await kvmOf()).toBe(!first);
  expect(await kvmOf({ kvm: first })).toBe(first);
  await host.powerCycle();
  expect(await kvmOf()).toBe(first);
});
