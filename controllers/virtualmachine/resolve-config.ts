import { done, type Phase, wait } from '#controllers/runtime/controller.ts';
import type { Scope } from './scope.ts';

/** The size: of the spec itself or of the InstanceType it names. Condition: ConfigReady. */
export const resolveConfig: Phase<Scope> = (scope) => {
  const { instanceType: name, resources } = scope.vm.spec;
  if (resources) scope.resolved.size = { cores: resources.cores, memory: resources.memory };
  else if (scope.instanceType) {
    const { cores, memory } = scope.instanceType.spec;
    scope.resolved.size = { name: scope.instanceType.metadata.name, cores, memory };
  } else if (name) {
    return wait('NotFound', `InstanceType "${name}" does not exist. It goes on by itself once somebody creates it`);
  } else {
    return wait('Failed', 'The spec has neither resources nor instanceType. Give one of them');
  }
  scope.met.add('ConfigReady');
  return done;
};
