/** Who writes, and in which versions of the kind. */
import type { Manager } from './managers.ts';
import type { Type } from './type.ts';
import type { Reach } from './visible.ts';

export interface Writer extends Omit<Manager, 'fields' | 'time'> {
  readonly time: string;
  readonly reach: Reach;
}

/** Types by apiVersion; undefined for a version that is no longer served. Objects have the same fields in all of them. */
export type Types = (apiVersion: string) => Type | undefined;

export function typeIn(apiVersion: string, types: Types): Type {
  const type = types(apiVersion);
  if (!type) throw new Error(`There is no version ${apiVersion} of this kind`);
  return type;
}
