import type { JsonObject } from '#apiserver/json/json.ts';

/** The minor says which Kubernetes the answers are modelled on: some kubectl installations choose their binary by it. */
export const serverVersion: JsonObject = {
  major: '1',
  minor: '32',
  gitVersion: 'v1.32.0-factory.1',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '',
  goVersion: `node ${process.versions.node}`,
  compiler: 'v8',
  platform: `${process.platform}/${process.arch}`,
};
