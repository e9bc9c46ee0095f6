/** CustomResourceDefinitions as a client installs them. */
import type { JsonObject } from '#apiserver/json/json.ts';
import type { StoredObject } from '#apiserver/json/object.ts';
import { asCrd, type Crd, isTrue } from '#apiserver/resources/crd.ts';
import { readLines } from './http.ts';
import type { TestServer } from './start.ts';

export const crdPath = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

/** Creates them and waits until they are established. */
export async function createDefinitions(started: TestServer, crds: readonly Crd[]): Promise<void> {
  for (const crd of crds) {
    const reply = await started.request(crdPath, { method: 'POST', body: crd });
    if (reply.status !== 201) throw new Error(`Cannot create ${crd.metadata.name}: ${reply.text}`);
  }
  for (const crd of crds)
    await definitionState(started, crd.metadata.name, (object) => isTrue(asCrd(object).status, 'Established'));
}

/** Waits until the definition is as told. */
export async function definitionState(
  { server, authority, token }: Pick<TestServer, 'server' | 'authority' | 'token'>,
  name: string,
  reached: (definition: StoredObject) => boolean,
): Promise<StoredObject> {
  const url = `${server.url}${crdPath}?watch=true&fieldSelector=metadata.name%3D${name}`;
  const objectOf = (line: JsonObject) => line.object as StoredObject;
  const lines = await readLines(url, { ca: authority.certificate, token }, (seen) =>
    seen.some((line) => reached(objectOf(line))),
  );
  return objectOf(lines.find((line) => reached(objectOf(line)))!);
}
