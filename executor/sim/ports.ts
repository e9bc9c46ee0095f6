/** What imitated guests do with connections: one that is up takes them at every port, and answers any HTTP request with 200. */
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { type GuestConnection, type HostDevices, MachineError } from '../hypervisor.ts';

export function simPorts(isUp: (vni: number, ip: string) => boolean): Pick<HostDevices, 'knock' | 'dial'> {
  return {
    async knock({ vni, ip }, port, signal) {
      if (isUp(vni, ip)) return;
      if (!signal.aborted) await once(signal, 'abort');
      throw new MachineError(`Nobody answers at port ${port} in time`);
    },
    dial: ({ vni, ip }, _port, signal) => simConnection(isUp(vni, ip), signal),
  };
}

function simConnection(isUp: boolean, signal: AbortSignal): GuestConnection {
  let asked = '';
  const stream = new Duplex({
    read: () => undefined,
    write(chunk: Buffer, _, done) {
      asked += chunk.toString('latin1');
      if (isUp && asked.endsWith('\r\n\r\n')) this.push('HTTP/1.1 200 OK\r\n\r\n');
      done();
    },
  });
  const end = () => void stream.destroy();
  signal.addEventListener('abort', end, { once: true });
  return {
    stream,
    async problem() {
      end();
      return undefined;
    },
    [Symbol.dispose]() {
      signal.removeEventListener('abort', end);
      end();
    },
  };
}
