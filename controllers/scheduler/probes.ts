/** The probes of a machine's spec as its host is told of them. Pure. */
import { parseDuration } from '#lib/api/duration.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import type { LaunchProbe, MachineLaunch } from '#lib/api/launch.ts';

type Spec = VirtualMachine['spec'];
type Probes = NonNullable<Spec['probes']>;
type Probe = NonNullable<Probes['liveness']>;

/** What a command in a guest may take at most. */
const probeMsMax = 50_000;

export function launchProbes({ probes = {} }: Spec): Pick<MachineLaunch, 'readiness' | 'liveness' | 'startup'> {
  const { readiness, liveness, startup } = probes;
  return {
    ...(readiness && { readiness: launchProbe(readiness, readiness.successThreshold) }),
    ...(liveness && { liveness: launchProbe(liveness) }),
    ...(startup && { startup: launchProbe(startup) }),
  };
}

/** An executor that knows of readiness by the agent alone would do less than is asked for. */
export function needsProber(spec: Spec): boolean {
  return isTried(spec) || spec.probes?.liveness !== undefined || spec.probes?.startup !== undefined;
}

/** At its first address, by its host. */
export function isTried({ probes = {} }: Spec): boolean {
  return [probes.readiness, probes.liveness, probes.startup].some((probe) => probe?.tcp || probe?.http);
}

function launchProbe(probe: Probe, successThreshold = 1): LaunchProbe {
  const { exec, tcp, http, initialDelay, period, timeout, failureThreshold } = probe;
  return {
    ...(exec && { command: exec.command }),
    ...(tcp && { tcp }),
    ...(http && { http: { ...http, headers: http.headers ?? [] } }),
    initialDelayMs: parseDuration(initialDelay),
    periodMs: parseDuration(period),
    timeoutMs: Math.min(parseDuration(timeout), probeMsMax),
    ...{ successThreshold, failureThreshold },
  };
}
