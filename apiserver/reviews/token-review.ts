import type { Answer, Call } from '#apiserver/http/call.ts';
import { badRequest } from '#apiserver/http/status.ts';
import { textIn, textsIn } from '#apiserver/json/members.ts';
import type { ServerContext } from '#apiserver/verbs/server-context.ts';
import { answered, readReview, specOf, userInfo } from './review.ts';

/** Whom a token stands for, for servers that let this one authenticate their clients. */
export async function reviewToken({ access }: ServerContext, call: Call): Promise<Answer> {
  const review = await readReview(call);
  const token = textIn(specOf(review), 'token');
  if (token === '') throw badRequest('token is required for TokenReview in authentication');
  const identity = await access.authenticateToken(token, textsIn(specOf(review), 'audiences'));
  if (!identity)
    return answered(review, { authenticated: false, error: 'the token is not known here, or no longer valid' });
  const { user, audiences } = identity;
  return answered(review, { authenticated: true, user: userInfo(user), audiences: [...audiences] });
}
