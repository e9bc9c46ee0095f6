/** Kubernetes' own JavaScript client (@kubernetes/client-node), pointed at a server of a test. */
import { KubeConfig } from '@kubernetes/client-node';
import type { TestServer } from '#apiserver/testing/start.ts';
import type { Authority } from '#lib/tls/authority.ts';

/** Another way to the server, on which servers of these authorities answer. */
interface Way {
  readonly url: string;
  readonly authorities: readonly Authority[];
}

export function kubeConfig({ server, authority, token }: TestServer, way?: Way): KubeConfig {
  const { url, authorities } = way ?? { url: server.url, authorities: [authority] };
  const config = new KubeConfig();
  const caData = Buffer.from(authorities.map(({ certificate }) => certificate).join('\n')).toString('base64');
  const cluster = { name: 'test', server: url, caData, skipTLSVerify: false };
  config.loadFromClusterAndUser(cluster, { name: 'admin', token });
  return config;
}
