import { describe, expect, test } from 'vitest';
import type { Image } from '#lib/api/generated/index.ts';
import { askedImageKey, keysOfImage, usedImageKey, withChosenImage } from '#lib/api/image-families.ts';
import { chooseImage } from './choose-image.ts';

type Rows = Readonly<Record<string, string>>;

/** Made in this minute of the day, with the phase of its row in each Cluster. */
function image(name: string, minute: number, rows: Rows, spec: Partial<Image['spec']> = {}, more: object = {}): Image {
  const creationTimestamp = `2026-01-01T00:${String(minute).padStart(2, '0')}:00Z`;
  const clusters = Object.entries(rows).map(([cluster, phase]) => ({ name: cluster, phase }));
  const phase = clusters.every((row) => row.phase === 'Ready') ? 'Ready' : 'Downloading';
  const isKnown = clusters.some((row) => row.phase === 'Ready');
  const status = { phase, clusters, ...(isKnown && { digest: name }) };
  const source = { http: { url: 'https://a/' } };
  const metadata = { name, namespace: 'a', uid: name, creationTimestamp, ...more };
  return { metadata, spec: { source, family: 'f', ...spec }, status } as unknown as Image;
}

const everywhere = { lab: 'Ready', annex: 'Ready' };
const partly = { lab: 'Ready', annex: 'Downloading' };
const old = image('old', 1, everywhere);
const chosen = (images: readonly Image[], cluster?: string, sibling?: string) =>
  chooseImage({ images, cluster, siblingImage: sibling })?.metadata.name;

describe('chooseImage()', () => {
  test.each<readonly [string, readonly Image[], string | undefined, string | undefined]>([
    ['the newest', [old, image('new', 3, everywhere), image('middle', 2, everywhere)], undefined, 'new'],
    ['of two of one second always the same', [image('b', 1, everywhere), image('c', 1, everywhere)], undefined, 'c'],
    ['none that is deprecated', [old, image('new', 3, everywhere, { deprecated: true })], undefined, 'old'],
    ['none that is going', [old, image('new', 3, everywhere, {}, { deletionTimestamp: 'now' })], undefined, 'old'],
    ['none that is not ready anywhere', [old, image('new', 3, { lab: 'Failed', annex: 'Pending' })], undefined, 'old'],
    ['one that is everywhere, before one that is not yet', [old, image('new', 3, partly)], undefined, 'old'],
    ['one that is somewhere, if there is none else', [image('new', 3, partly)], undefined, 'new'],
    ['the newest of the Cluster', [old, image('new', 3, partly)], 'lab', 'new'],
    ['none of another Cluster', [old, image('new', 3, partly)], 'annex', 'old'],
    [
      'none of a snapshot elsewhere',
      [image('s', 3, { annex: 'Ready' }, { source: { snapshot: { name: 's' } } })],
      undefined,
      undefined,
    ],
    [
      'one of a snapshot here',
      [image('s', 3, { annex: 'Ready' }, { source: { snapshot: { name: 's' } } })],
      'annex',
      's',
    ],
    ['nothing of nothing', [], undefined, undefined],
  ])('%s', (_, images, cluster, expected) => {
    for (const all of [images, images.toReversed()]) expect(chosen(all, cluster)).toBe(expected);
  });

  test('what a machine of the same pool has, as long as it may be had', () => {
    const images = [old, image('new', 3, everywhere)];
    expect(chosen(images, undefined, 'old')).toBe('old');
    expect(chosen(images, undefined, 'gone')).toBe('new');
    expect(chosen([image('old', 1, everywhere, { deprecated: true }), images[1]!], undefined, 'old')).toBe('new');
  });
});

test('who asks for a family is found by it, and uses what was chosen for him alone', () => {
  const vm = (spec: object, status: object = {}) =>
    ({ metadata: { namespace: 'a', name: 'm' }, spec: { image: spec }, status }) as never;
  const [own] = keysOfImage(image('new', 3, everywhere));
  const [, family] = keysOfImage(image('new', 3, everywhere));
  expect(askedImageKey(vm({ name: 'new' }))).toBe(own);
  expect(askedImageKey(vm({ family: 'f' }))).toBe(family);
  expect(askedImageKey(vm({ family: 'f', namespace: 'cf-public' }))).not.toBe(family);
  expect(askedImageKey(vm({ family: 'f', namespace: 'b' }))).toBeUndefined();
  const status = { image: { name: 'new', namespace: 'a', family: 'f', digest: 'd' } };
  expect(usedImageKey(vm({ family: 'f' }))).toBeUndefined();
  expect(usedImageKey(vm({ family: 'f' }, status))).toBe(own);
  expect(usedImageKey(vm({ family: 'g' }, status))).toBeUndefined();
  expect(usedImageKey(vm({ name: 'old' }, status))).toBe('a/old');
  expect(withChosenImage(vm({ family: 'f' }, status))).toEqual({ image: { name: 'new', namespace: 'a' } });
  expect(withChosenImage(vm({ family: 'g' }, status))).toEqual({ image: { family: 'g' } });
  expect(withChosenImage(vm({ name: 'old' }, status))).toEqual({ image: { name: 'old' } });
});
