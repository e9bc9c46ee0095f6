/** Amounts of CPU and memory in integer thousandths of a core and of a MiB, as Mesos counts: never compared as floating point. */
export interface Room {
  readonly cpu: number;
  readonly mem: number;
}

export const noRoom: Room = { cpu: 0, mem: 0 };

export function plus(a: Room, b: Room): Room {
  return { cpu: a.cpu + b.cpu, mem: a.mem + b.mem };
}

export function minus(a: Room, b: Room): Room {
  return { cpu: a.cpu - b.cpu, mem: a.mem - b.mem };
}

/** The smaller of each. */
export function least(a: Room, b: Room): Room {
  return { cpu: Math.min(a.cpu, b.cpu), mem: Math.min(a.mem, b.mem) };
}

export function fits(ask: Room, room: Room): boolean {
  return ask.cpu <= room.cpu && ask.mem <= room.mem;
}
