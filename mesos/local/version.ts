/** What the local Mesos says it is: the version whose behaviour was recorded. The build fields tell it from a real one. */
export const mesosVersion = '1.12.0';
export const buildInfo = {
  version: mesosVersion,
  build_date: '2026-11-20 00:00:00 UTC',
  build_time: 1_795_132_800,
  build_user: 'compute-factory-local',
};

/** Mesos writes TimeInfo in nanoseconds. */
export function timeInfo(ms: number): { nanoseconds: number } {
  return { nanoseconds: Math.round(ms * 1e6) };
}

/** Mesos' text for a duration in whole seconds or minutes: `2secs`, `15mins`. */
export function durationText(ms: number): string {
  if (ms % 60_000 === 0 && ms > 0) return `${ms / 60_000}mins`;
  return ms % 1000 === 0 ? `${ms / 1000}secs` : `${ms}ms`;
}
