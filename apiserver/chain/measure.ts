import { machineServices } from '#lib/api/host-endpoint.ts';
import type { Exchange, Step } from './exchange.ts';

/** Counts and times what was answered. */
export const measure: Step = async (exchange, next) => {
  const { info, response, server } = exchange;
  const { metrics, context } = server;
  const started = context.clock.monotonic();
  await next();
  const labels = labelsOf(exchange);
  metrics.requests.add([...labels, `${response.statusCode}`]);
  if (!info.longRunning) metrics.requestSeconds.observe((context.clock.monotonic() - started) / 1000, labels);
  if (response.statusCode === 429 || response.statusCode === 504) metrics.timeouts.add([`${response.statusCode}`]);
};

const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** As Kubernetes names them. Nothing of what a client may freely choose is among them. */
function labelsOf({ info, request, resource }: Exchange): string[] {
  const { path } = info;
  const method = methods.has(request.method) ? request.method : 'other';
  if (!resource || path.type !== 'resource') return [method, '', '', '', '', ''];
  const verb = method === 'GET' || method === 'DELETE' ? info.verb.toUpperCase() : method;
  const scope = path.name !== undefined ? 'resource' : path.namespace === undefined ? 'cluster' : 'namespace';
  return [verb, resource.group, resource.version, resource.plural, subresourceOf(path.subresource), scope];
}

const subresources: ReadonlySet<string> = new Set<string>([
  'status',
  'scale',
  'finalize',
  'token',
  'approval',
  ...machineServices,
]);

function subresourceOf(name: string | undefined): string {
  return name === undefined ? '' : subresources.has(name) ? name : 'other';
}

/** Counts how a step decided: it let the request through, or it threw. */
export function counted(
  step: Step,
  family: 'authentications' | 'authorizations',
  words: readonly [string, string],
): Step {
  return async (exchange, next) => {
    const counter = exchange.server.metrics[family];
    let passed = false;
    try {
      await step(exchange, () => {
        passed = true;
        counter.add([words[0]]);
        return next();
      });
    } catch (error) {
      if (!passed) counter.add([words[1]]);
      throw error;
    }
  };
}
