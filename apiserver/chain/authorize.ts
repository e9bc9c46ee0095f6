import { authorize } from '#apiserver/auth/authorize.ts';
import { isPublic } from './authenticate.ts';
import type { Step } from './exchange.ts';

/** May they? Asked before anything is looked up, so that a refusal tells nothing about what exists. */
export const askWhetherAllowed: Step = async (exchange, next) => {
  const { info, user, resource } = exchange;
  const { path, verb } = info;
  if (path.type === 'resource' && resource) {
    const { group, plural, subresource, namespace, name } = path;
    authorize(user, {
      verb,
      group,
      resource: subresource === undefined ? plural : `${plural}/${subresource}`,
      ...(namespace === undefined ? {} : { namespace }),
      ...(name === undefined ? {} : { name }),
    });
  } else if (!isPublic(exchange)) authorize(user, { verb, path: info.pathname });
  await next();
};
