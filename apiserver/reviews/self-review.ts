import type { Answer, Call } from '#apiserver/http/call.ts';
import type { ServerContext } from '#apiserver/verbs/server-context.ts';
import { timestamp } from '#lib/std/clock.ts';
import { answered, readReview, userInfo } from './review.ts';

/** Whom the server takes the sender for: `kubectl auth whoami`. */
export async function reviewSelf({ clock }: ServerContext, call: Call): Promise<Answer> {
  const review = await readReview(call);
  review.metadata.creationTimestamp = timestamp(clock.now());
  return answered(review, { userInfo: userInfo(call.user) });
}
