import { describe, expect, test, vi } from 'vitest'
import { startCommand } from '../local/commands/command.ts'
import { createDemoPlace, expectEnded } from '../local/commands/demo-place.ts'
import { descendants } from '../local/commands/processes.ts'

// Forty seconds on an idle machine.
vi.setConfig({ testTimeout: 150_000 })

describe('npm run demo', () => {
  test('proves what it says from a private checkout, without a home, and leaves nothing behind', async () => {
    await using place = await createDemoPlace()
    const demo = startCommand('local/demo.ts', [], place.environment, place.checkout)
    await demo.printed('Ann signs up')
    const programs = await descendants(demo.pid)
    const { code, stdout, stderr } = await demo.ended
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    for (const step of [
      'stripe_customer',
      'neon_project',
      'credentials',
      'tenant_schema',
      'verify_connection',
      'graphql_endpoint',
    ])
      expect(stdout).toMatch(new RegExp(`✓ ${step} +\\d+ ms`))
    expect(stdout).toMatch(/neon ready, stripe ready, graphql ready, .*overall ready/)
    expect(stdout).toContain('✓ Bob, who is signed in too, sees none of it: 0 rows')
    expect(stdout).toMatch(/✓ 21 tables: .*contacts/)
    expect(stdout).toContain('credentials.revealed')
    expect(stdout).toMatch(/^ {2}Stripe +cus_\w+, Ann Archer's organization, ann@example\.com$/m)
    expect(stdout).toContain('✓ 10 of 10 ready after')
    expect(stdout).toMatch(
      /1 call from the database to the function was lost\. Cleo's tenant is \w+\.[^✓]*✓ found/,
    )
    expect(stdout).toMatch(/✓ healthy: round trip [\d.]+ ms/)
    expect(stdout).toMatch(
      /! alert opened after [\d.]+ s \(critical\): The login that checks the database may not log in any more/,
    )
    expect(stdout).toMatch(
      /! alert opened after [\d.]+ s \(critical\): The quota of the Neon project is used up/,
    )
    expect(stdout.match(/✓ alert resolved after/g)).toHaveLength(2)
    expect(stdout).toMatch(
      /✓ mutation createContact with the key tdk_\w{8}…: written\n.*✓ query contacts: Grace Hopper, grace@example\.com, \d in all/,
    )
    expect(stdout).toContain('✓ Dan’s key is refused there: 403 forbidden')
    expect(stdout.trimEnd()).toMatch(/✓ Every sign-up became a ready tenant\..*$/)
    await expectEnded(programs)
    expect(await place.leftDirectories()).toEqual([])
  })

  test('with --tier project shows a Supabase project with its repository, its deployment and its workflows', async () => {
    await using place = await createDemoPlace()
    const demo = startCommand('local/demo.ts', ['--tier', 'project'], place.environment, place.checkout)
    await demo.printed('Ann signs up, and gets a Supabase project of her own')
    const programs = await descendants(demo.pid)
    const { code, stdout, stderr } = await demo.ended
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    for (const step of [
      ...['supabase_project', 'project_ready', 'credentials', 'tenant_schema', 'verify_connection'],
      ...['project_keys', 'graphql_endpoint', 'github_repository', 'github_secrets'],
      ...['vercel_project', 'vercel_deployment', 'n8n_workflows'],
    ])
      expect(stdout).toMatch(new RegExp(`✓ ${step} +\\d+ ms`))
    const id = /client-([-0-9a-f]{36})-prod/.exec(stdout)?.[1]
    for (const [kind, name] of [
      ['supabase_project', `client-${id}-prod`],
      ['github_repository', 'client-ann-archer\\S*'],
      ['vercel_project', 'client-ann-archer\\S*'],
      ['n8n_workflows', `client-${id}`],
    ])
      expect(stdout).toMatch(new RegExp(`✓ ${kind} +${name} {2}id \\S+\\n +https?://\\S+\\n`))
    expect(stdout.match(new RegExp(`client-${id} .+ {2}http\\S+/workflow/\\S+`, 'g'))).toHaveLength(2)
    expect(stdout).toMatch(/✓ Vercel: the deployment dpl_\w+ is ready\n +✓ n8n: 2 workflows are active/)
    expect(stdout).toMatch(/✓ 21 tables, each with row level security/)
    expect(stdout).toMatch(/✓ query contacts: Grace Hopper, grace@example\.com, \d in all/)
    expect(stdout).toContain('✓ Dan’s key is refused there: 403 forbidden')
    expect(stdout).toMatch(/after 72 h +\S/)
    expect(stdout.trimEnd()).toMatch(/✓ Every sign-up became a ready tenant\..*$/)
    await expectEnded(programs)
    expect(await place.leftDirectories()).toEqual([])
  })
})
