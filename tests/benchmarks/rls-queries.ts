/** What PostGraphile makes of queries through the tenants' endpoint. Parameters are texts. */
export const QUERIES: readonly {
  readonly name: string
  readonly text: string
  readonly values: readonly string[]
}[] = [
  {
    name: 'newest 50 contacts with company and last three activities',
    values: [],
    text: `
select
__contacts__."id" as "0",
__contacts__."first_name" as "1",
__contacts__."last_name" as "2",
__contacts__."email" as "3",
__contacts__."status" as "4",
array(select array[
__activities__."id",
__activities__."type"::text,
__activities__."subject",
to_char(__activities__."created_at", 'YYYY-MM-DD"T"HH24:MI:SS.USTZH:TZM'::text)
]::text[]
from "public"."activities" as __activities__
where (__activities__."contact_id" = __contacts__."id")
order by __activities__."created_at" desc, __activities__."id" desc
limit 3)::text as "5",
__companies__."id" as "6",
__companies__."name" as "7"
from "public"."contacts" as __contacts__
left outer join "public"."companies" as __companies__
on (
(__companies__."id" = __contacts__."company_id"))
order by __contacts__."created_at" desc, __contacts__."id" desc
limit 50;`,
  },
  {
    name: 'a stage of the board',
    values: ['proposal'],
    text: `
select
__deals__."id" as "0",
__deals__."name" as "1",
__deals__."amount"::text as "2",
__deals__."currency" as "3",
to_char(__deals__."expected_close_on", 'YYYY-MM-DD'::text) as "4",
__companies__."name" as "5",
__contacts__."first_name" as "6",
__contacts__."last_name" as "7",
__contacts__."id" as "8",
__users__."full_name" as "9",
__users__."id" as "10"
from "public"."deals" as __deals__
left outer join "public"."companies" as __companies__
on (
(__companies__."id" = __deals__."company_id"))
left outer join "public"."contacts" as __contacts__
on (
(__contacts__."id" = __deals__."contact_id"))
left outer join "public"."users" as __users__
on (
(__users__."id" = __deals__."owner_id"))
where (__deals__."stage" = $1::"text")
order by __deals__."expected_close_on" asc, __deals__."id" asc
limit 50;`,
  },
  {
    name: 'one contact with its deals and timeline',
    values: ['00000000-0000-4000-8002-000000000001'],
    text: `
select
__contacts__."id" as "0",
__contacts__."first_name" as "1",
__contacts__."last_name" as "2",
__contacts__."email" as "3",
__contacts__."phone" as "4",
array(select array[
__deals__."id",
__deals__."name",
__deals__."stage",
__deals__."amount"::text
]::text[]
from "public"."deals" as __deals__
where (__deals__."contact_id" = __contacts__."id")
order by __deals__."id" asc
limit 10)::text as "5",
array(select array[
__activities__."id",
__activities__."type"::text,
__activities__."subject",
__activities__."body",
to_char(__activities__."created_at", 'YYYY-MM-DD"T"HH24:MI:SS.USTZH:TZM'::text),
__users__."full_name",
__users__."id"
]::text[]
from "public"."activities" as __activities__
left outer join "public"."users" as __users__
on (
(__users__."id" = __activities__."user_id"))
where (__activities__."contact_id" = __contacts__."id")
order by __activities__."created_at" desc, __activities__."id" desc
limit 20)::text as "6",
__companies__."id" as "7",
__companies__."name" as "8",
__users_2."full_name" as "9",
__users_2."id" as "10"
from "public"."contacts" as __contacts__
left outer join "public"."companies" as __companies__
on (
(__companies__."id" = __contacts__."company_id"))
left outer join "public"."users" as __users_2
on (
(__users_2."id" = __contacts__."owner_id"))
where (__contacts__."id" = $1::"uuid");`,
  },
  {
    name: 'a contact by address',
    values: ['person5000@example.com'],
    text: `
select
__contacts__."id" as "0",
__contacts__."first_name" as "1",
__contacts__."last_name" as "2",
__contacts__."status" as "3"
from "public"."contacts" as __contacts__
where (__contacts__."email" = $1::"text")
order by __contacts__."id" asc
limit 1;`,
  },
  {
    name: 'what is unread',
    values: ['f', '00000000-0000-4000-8000-000000000001'],
    text: `
select
__notifications__."id" as "0",
__notifications__."title" as "1",
__notifications__."body" as "2",
to_char(__notifications__."created_at", 'YYYY-MM-DD"T"HH24:MI:SS.USTZH:TZM'::text) as "3"
from "public"."notifications" as __notifications__
where
(__notifications__."read" = $1::"bool") and (__notifications__."user_id" = $2::"uuid")
order by __notifications__."created_at" desc, __notifications__."id" desc
limit 20;`,
  },
  {
    name: 'the newest customers',
    values: ['customer'],
    text: `
select
__contacts__."id" as "0",
__contacts__."first_name" as "1",
__contacts__."last_name" as "2"
from "public"."contacts" as __contacts__
where (__contacts__."status" = $1::"text")
order by __contacts__."created_at" desc, __contacts__."id" desc
limit 20;`,
  },
  {
    name: 'how many customers there are',
    values: ['customer'],
    text: `
select
(count(*))::text as "0"
from "public"."contacts" as __contacts__
where (__contacts__."status" = $1::"text");`,
  },
  {
    name: 'a page of companies',
    values: [],
    text: `
select
__companies__."id" as "0",
__companies__."name" as "1",
__companies__."status" as "2"
from "public"."companies" as __companies__
order by __companies__."name" asc, __companies__."id" asc
limit 21;`,
  },
  {
    name: 'how many companies there are',
    values: [],
    text: `
select
(count(*))::text as "0"
from "public"."companies" as __companies__;`,
  },
  {
    name: 'the e-mails that are due',
    values: ['2026-01-01T00:00:00Z', 'queued'],
    text: `
select
__email_sends__."id" as "0",
__email_sends__."email" as "1",
__email_sends__."subject" as "2",
__contacts__."first_name" as "3",
__contacts__."id" as "4",
__email_campaigns__."from_name" as "5",
__email_campaigns__."from_email" as "6",
__email_campaigns__."id" as "7"
from "public"."email_sends" as __email_sends__
left outer join "public"."contacts" as __contacts__
on (
(__contacts__."id" = __email_sends__."contact_id"))
left outer join "public"."email_campaigns" as __email_campaigns__
on (
(__email_campaigns__."id" = __email_sends__."campaign_id"))
where
(__email_sends__."scheduled_at" <= $1::"timestamptz") and (__email_sends__."status" = $2::"text")
order by __email_sends__."scheduled_at" asc, __email_sends__."id" asc
limit 100;`,
  },
  {
    name: 'deals won with customers',
    values: ['customer', 'won'],
    text: `
select
__deals__."id" as "0",
__deals__."name" as "1",
__deals__."amount"::text as "2",
to_char(__deals__."closed_at", 'YYYY-MM-DD"T"HH24:MI:SS.USTZH:TZM'::text) as "3",
__companies__."name" as "4"
from "public"."deals" as __deals__
left outer join "public"."companies" as __companies__
on (
(__companies__."id" = __deals__."company_id"))
where
(exists(select 1
from "public"."companies" as __companies_2
where ((__deals__."company_id" = __companies_2."id")
and
(__companies_2."status" = $1::"text")))) and (__deals__."stage" = $2::"text")
order by __deals__."closed_at" desc, __deals__."id" desc
limit 50;`,
  },
]
