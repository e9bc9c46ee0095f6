/** Kubernetes' own JavaScript client (@kubernetes/client-node), pointed at a server of a test. */
import { KubeConfig } from '@kubernetes/client-node';
import type { TestServer } from '#apiserver/testing/start.ts';

/** `url` is another way to the same server. */
export function kubeConfig({ server, authority, token }: TestServer, url = server.url): KubeConfig {
  const config = new KubeConfig();
  const caData = Buffer.from(authority.certificate).toString('base64');
  const cluster = { name: 'test', server: url, caData, skipTLSVerify: false };
  config.loadFromClusterAndUser(cluster, { name: 'admin', token });
  return config;
}
