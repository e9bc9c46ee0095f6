/** The part of --acls that a framework can meet: who may run tasks as which user (src/authorizer/local). */
interface Entity {
  readonly type?: 'ANY' | 'NONE' | 'SOME';
  readonly values?: readonly string[];
}

export interface Acls {
  /** What holds where no rule does; true unless told. */
  readonly permissive?: boolean;
  readonly run_tasks?: readonly { readonly principals: Entity; readonly users: Entity }[];
}

/** The first rule that speaks of the principal decides. */
export function mayRunBy({ permissive = true, run_tasks: rules = [] }: Acls) {
  return (principal: string | undefined, user: string): boolean => {
    const rule = rules.find(({ principals }) => covers(principals, principal ?? ''));
    return rule === undefined ? permissive : covers(rule.users, user);
  };
}

function covers({ type = 'SOME', values = [] }: Entity, value: string): boolean {
  return type === 'ANY' || (type === 'SOME' && values.includes(value));
}
