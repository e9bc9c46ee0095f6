/** What a host tells of itself that its configuration says: the same for as long as the worker lives, which reads it once. Pure. */
import { type HostFacts, namesMax } from '#lib/api/messages.ts';
import type { ExecutorConfig } from './config.ts';

type Configured = Pick<ExecutorConfig, 'hypervisor' | 'segments' | 'tunnelAddress'>;

export function configuredFacts(config: Configured): Pick<HostFacts, 'segments' | 'tunnelAddress'> {
  const { tunnelAddress } = config;
  return { ...(tunnelAddress === undefined ? {} : { tunnelAddress }), ...segmentsOf(config) };
}

/** A part of a list would deny the rest. An imitated host puts guests on whatever network, so it denies none by itself. */
function segmentsOf({ hypervisor, segments }: Configured): Pick<HostFacts, 'segments'> {
  if (!segments && hypervisor === 'sim') return {};
  const { bridges, nics } = segments ?? { bridges: [], nics: [] };
  return Math.max(bridges.length, nics.length) > namesMax ? {} : { segments: { bridges, nics } };
}
