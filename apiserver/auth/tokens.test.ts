import { expect, test } from 'vitest';
import { readTokens } from './tokens.ts';

test('finds users with their groups, and nobody for another token', () => {
  const tokens = readTokens('# operators\nt1,jo,7,"ops,dev"\n\nt2,al,8\n');
  expect(tokens('t1')?.user).toEqual({ name: 'jo', uid: '7', groups: ['ops', 'dev', 'system:authenticated'] });
  expect(tokens('t2')?.user.groups).toEqual(['system:authenticated']);
  expect(tokens('t')).toBeUndefined();
});

test('a line that cannot be read is named by its number, without the token in it', () => {
  expect(() => readTokens('good,jo,1\nsecret\n')).toThrow(/line 2 /);
  expect(() => readTokens('good,jo,1\nsecret\n')).not.toThrow(/secret/);
});
