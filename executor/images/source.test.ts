/**
 * What becomes of an image whose source is not as it should be (api.md §7). The rows of the table and where they are shown:
 *
 *   404, 401, 403; 5xx; nothing answers; a reset; a download that is too slow     download.test.ts "a server that answers"
 *   a download that breaks off, goes on by range and ETag, survives kill -9       download.test.ts "a download"
 *   another checksum, once and twice                                              download.test.ts "with another checksum"
 *   a full disk of the host                                                       download.test.ts "a full store", here EDQUOT
 *   no format of ours; a virtual size over the limit                              import.test.ts, formats.test.ts
 *   a backing file, an external data file                                         hostile.test.ts, formats.test.ts
 *   the time limit of a whole import                                              tasks.test.ts
 *   other bytes under the same URL                                                here, and controllers/image/controller.test.ts
 *   deleted while used; all copies gone                                           controllers/image/controller.test.ts, image-files.test.ts
 */
import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { whyNot } from '#test/requires.ts';
import { openStore, serve } from '../testing/image-store.ts';
import { ImportError } from './errors.ts';

const bytes = randomBytes(100_000);
const other = randomBytes(100_000);

describe.skipIf(whyNot(['qemu-img']) !== undefined)('a source', () => {
  test('whose bytes are others than at the first import is not taken, and what is in the store stays', async () => {
    await using store = await openStore();
    let content = bytes;
    await using server = await serve((_, response) => void response.end(content));
    const source = { http: { url: server.url } };
    const { digest } = await store.run(source);
    expect(await store.run(source, { digest })).toMatchObject({ digest });
    content = other;
    await expect(store.run(source, { digest })).rejects.toMatchObject({ reason: 'SourceChanged', terminal: true });
    expect([store.stored(), store.incoming()]).toEqual([[digest], []]);
  });

  test('is named by where it was in the end, without what may be a secret, and by its strong ETag', async () => {
    await using store = await openStore();
    await using server = await serve((request, response) => {
      if (request.url?.startsWith('/latest')) response.writeHead(302, { location: '/v12?token=SECRET' }).end();
      else response.writeHead(200, { etag: '"v12"' }).end(bytes);
    });
    const url = `${server.url.replace('//', '//user:PASSWORD@')}/latest`;
    const result = await store.run({ http: { url } });
    expect(result).toMatchObject({ etag: '"v12"', resolvedURL: `${server.url}/v12` });
  });

  test('that has no ETag, or a weak one, is not named by one', async () => {
    await using store = await openStore();
    await using server = await serve((_, response) => void response.writeHead(200, { etag: 'W/"1"' }).end(bytes));
    expect(await store.run({ http: { url: server.url } })).not.toHaveProperty('etag');
  });
});

test.each(['ENOSPC', 'EDQUOT'])('%s while a file is written is a full store, which may be tried again', (code) => {
  const error = ImportError.from(Object.assign(new Error('write'), { code }));
  expect(error).toMatchObject({ reason: 'StoreFull', terminal: false, class: 'Infrastructure' });
});
