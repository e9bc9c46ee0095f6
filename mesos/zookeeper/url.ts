/** `zk://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT].../PATH`, as Mesos writes where its masters are found. */
export interface ServerAddress {
  readonly host: string;
  readonly port: number;
}

export interface ZooKeeperUrl {
  readonly servers: readonly ServerAddress[];
  /** `user:password` for ZooKeeper's digest scheme. */
  readonly credentials: string | undefined;
  /** Of the directory in which masters stand, without a slash at its end. */
  readonly path: string;
}

const defaultPort = 2181;

export function isZooKeeperUrl(text: string): boolean {
  return text.startsWith('zk://');
}

/** Throws TypeError saying what is wrong. The root is refused as a directory, as Mesos does. */
export function parseZooKeeperUrl(text: string): ZooKeeperUrl {
  const match = /^zk:\/\/(?:([^@/]+:[^@/]+)@)?([^@/]+)(\/.*)?$/.exec(text);
  const refuse = (why: string) => new TypeError(`${why}: want zk://HOST:PORT,HOST:PORT/PATH, not "${shown(text)}"`);
  if (match === null) throw refuse('This is no ZooKeeper URL');
  const [, credentials, hosts = '', path = ''] = match;
  if (!/^(\/[^/]+)+$/.test(path)) throw refuse('The directory of the masters is missing or is no path');
  const servers = hosts.split(',').map((host) => {
    const [, name, port] = /^([^:[\]]+|\[[^\]]+\])(?::(\d{1,5}))?$/.exec(host) ?? [];
    if (name === undefined) throw refuse(`"${host}" is no HOST:PORT`);
    return { host: name.replace(/^\[|\]$/g, ''), port: port === undefined ? defaultPort : Number(port) };
  });
  return { servers, credentials, path };
}

/** Errors and logs do not repeat passwords. */
function shown(text: string): string {
  return text.replace(/\/\/.*@/, '//…@');
}

/** For messages: servers and directory, without credentials. */
export function describeZooKeeper({ servers, path }: ZooKeeperUrl): string {
  return `zk://${servers.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`).join(',')}${path}`;
}
