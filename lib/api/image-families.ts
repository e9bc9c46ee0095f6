/** Machines that ask for a family of Images instead of one by its name. */
import type { Image } from './generated/image.ts';
import type { VirtualMachine } from './generated/virtualmachine.ts';
import { keyOf } from './meta.ts';
import { publicNamespace } from './names.ts';

/** Of all Images of one family in one namespace. No key of an Image has a colon. */
function familyKey(namespace: string, family: string): string {
  return `${namespace}/family:${family}`;
}

/** By which machines ask for it: its own key, and that of its family. */
export function keysOfImage(image: Image): readonly string[] {
  const { metadata, spec } = image;
  return spec.family ? [keyOf(image), familyKey(metadata.namespace!, spec.family)] : [keyOf(image)];
}

/**
 * What spec.image asks for: the key of an Image, or that of a family. Only the machine's own namespace and cf-public may be named; undefined
 * for any other.
 */
export function askedImageKey({ metadata, spec }: VirtualMachine): string | undefined {
  const own = metadata.namespace!;
  const { name = '', family, namespace: named } = spec.image;
  const namespace = named || own;
  if (namespace !== own && namespace !== publicNamespace) return undefined;
  return family ? familyKey(namespace, family) : `${namespace}/${name}`;
}

/** namespace/name of the Image that the machine stands on, or names; undefined while none was chosen from its family. */
export function usedImageKey({ metadata, spec, status }: VirtualMachine): string | undefined {
  const { name, family, namespace } = spec.image;
  if (!family) return `${namespace || metadata.namespace}/${name}`;
  const chosen = status?.image;
  return chosen?.family === family ? `${chosen.namespace}/${chosen.name}` : undefined;
}

/** The spec, with the Image by its name that was chosen for the machine. */
export function withChosenImage({ spec, status }: VirtualMachine): VirtualMachine['spec'] {
  const { family } = spec.image;
  const { name, namespace, family: chosenFrom } = status?.image ?? {};
  if (!family || chosenFrom !== family || name === undefined) return spec;
  return { ...spec, image: { name, ...(namespace !== undefined && { namespace }) } };
}
