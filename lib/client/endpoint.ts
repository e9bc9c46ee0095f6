/** Where an API server is and how it is spoken to. Made from a kubeconfig, or by hand in tests. */
export interface Endpoint {
  /** Base URL, for example https://127.0.0.1:6443. */
  readonly server: string;
  /** PEM. The system's authorities unless told. */
  readonly ca?: string;
  /** PEM of a client certificate and its key. */
  readonly cert?: string;
  readonly key?: string;
  /** The name that the server's certificate must carry, if not the URL's. */
  readonly tlsServerName?: string;
  readonly skipTlsVerify?: boolean;
  /** The Authorization header, asked for before every request: tokens of credential plugins expire. */
  readonly authorization?: () => Promise<string | undefined>;
}
