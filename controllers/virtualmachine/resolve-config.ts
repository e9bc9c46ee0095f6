import { done, type Phase, wait } from '#controllers/runtime/controller.ts';
import { SeedSecretError, seedRefusal, seedSecrets } from '#lib/api/seeds.ts';
import type { Scope } from './scope.ts';

/**
 * The size, of the spec itself or of the InstanceType it names; and whether a seed can be made, its
 * secrets included. Condition: ConfigReady.
 */
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
  const refusal = seedRefusal(scope.vm.spec, scope.image?.spec.osType ?? 'Linux');
  if (refusal !== undefined) return wait('Failed', refusal);
  const missing = missingSecret(scope);
  if (missing) return wait(missing.reason, missing.message);
  scope.met.add('ConfigReady');
  return done;
};

/** They are looked at, not kept: the cluster server reads them again when a host asks for them. */
function missingSecret({ vm, secretOf }: Scope): SeedSecretError | undefined {
  try {
    seedSecrets(vm.spec, secretOf);
    return undefined;
  } catch (error) {
    if (error instanceof SeedSecretError) return error;
    throw error;
  }
}
