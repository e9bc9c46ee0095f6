import { expect, test } from 'vitest';
import { isPng, png } from '../console/png.ts';
import { asPng } from './picture.ts';

const rgb = Buffer.from([1, 2, 3, 4, 5, 6]);

test('a PNG stays what it is, a PPM becomes one', async () => {
  const picture = await asPng(Buffer.concat([Buffer.from('P6\n2 1\n255\n'), rgb]));
  expect(picture).toEqual(await png({ width: 2, height: 1, rgb }));
  expect(isPng(picture)).toBe(true);
  expect(await asPng(picture)).toBe(picture);
});

test.each(['', 'P5\n2 1\n255\n123456', 'P6\n2 1\n255\n12345', 'GIF89a'])('%j is refused', async (text) => {
  await expect(asPng(Buffer.from(text))).rejects.toThrow('libvirt sent');
});
