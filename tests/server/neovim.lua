-- Neovim as a client: what it says of a buffer while that is edited, its fix, and what it knows. Any failure ends it with 1.
-- From 0.8 on it is set up with what docs/editor.md tells users of its version to write.
local lsp, api = vim.lsp, vim.api
local root = vim.env.ROOT

local function fail(what)
  io.stderr:write(what .. "\n" .. vim.inspect(vim.diagnostic.get()) .. "\n")
  vim.cmd("cquit")
end

local function check(is_so, what)
  if not is_so then
    fail(what)
  end
end

local function text()
  return table.concat(api.nvim_buf_get_lines(0, 0, -1, true), "\n") .. "\n"
end

local function codes()
  return vim.tbl_map(function(diagnostic)
    return diagnostic.code or diagnostic.user_data.lsp.code
  end, vim.diagnostic.get(0))
end

local function expect(...)
  local wanted = { ... }
  check(vim.wait(30000, function()
    return vim.deep_equal(codes(), wanted)
  end, 20), "wanted " .. vim.inspect(wanted))
end

-- The code for Neovim in the documentation: from 0.11 on, and from 0.8 on.
local function documented()
  local page = table.concat(vim.fn.readfile(vim.env.DOCUMENTED), "\n")
  local blocks = {}
  for block in page:gmatch("```lua\n(.-)```") do
    table.insert(blocks, block)
  end
  check(#blocks == 2 and blocks[1]:find("vim.lsp.config(", 1, true) and blocks[2]:find("vim.lsp.start(", 1, true), "the page is another")
  return blocks[1], blocks[2]
end

local function set_up()
  local newest, newer = documented()
  vim.env.PATH = vim.fn.fnamemodify(vim.env.ORMEND, ":h") .. ":" .. vim.env.PATH
  if vim.fn.has("nvim-0.8") == 1 then
    assert(loadstring(vim.fn.has("nvim-0.11") == 1 and newest or newer))()
  else
    vim.api.nvim_create_autocmd("FileType", {
      pattern = "python",
      callback = function()
        -- Of one name there is one client.
        local id = next(lsp.get_active_clients()) and lsp.get_active_clients()[1].id
        id = id or lsp.start_client({ name = "ormend", cmd = { "ormend", "server" }, root_dir = root })
        check(lsp.buf_attach_client(0, id), "the client is not attached")
      end,
    })
  end
end

local function main()
  set_up()
  vim.cmd("edit " .. root .. "/shop/views.py")
  local before = text()
  expect("select-related")
  local clients = (lsp.get_clients or lsp.get_active_clients)()
  check(#clients == 1 and clients[1].name == "ormend", "the clients are others")
  check((clients[1].root_dir or clients[1].config.root_dir) == root, "the root is another")
  local diagnostic = vim.diagnostic.get(0)[1]
  check(diagnostic.lnum == 4 and diagnostic.col == 4, "it is elsewhere")
  check(diagnostic.severity == vim.diagnostic.severity.WARN, "it is no warning")

  -- As one types: a line before it with a character that takes two units, and a mistake that is mended again.
  api.nvim_buf_set_lines(0, 3, 3, true, { "# \u{1f600} \u{e9}", "" })
  for _ = 1, 20 do
    api.nvim_buf_set_text(0, 0, 0, 0, 0, { "(" })
    api.nvim_buf_set_text(0, 0, 0, 0, 1, { "" })
  end
  check(vim.wait(30000, function()
    local now = vim.diagnostic.get(0)[1]
    return now ~= nil and now.lnum == 6
  end, 20), "it does not move")

  local client = clients[1]
  local function ask(method, params)
    local answers, problem = lsp.buf_request_sync(0, method, params, 30000)
    local answer = answers and answers[client.id]
    check(answer and answer.result, method .. ": " .. vim.inspect({ answers, problem }))
    return answer.result
  end
  api.nvim_win_set_cursor(0, { 7, 17 })
  local place = lsp.util.make_position_params(0, client.offset_encoding)
  local hover = ask("textDocument/hover", place)
  check(hover.contents.value:find("type[shop.Book]", 1, true), "hover: " .. vim.inspect(hover))

  local range = lsp.util.make_range_params(0, client.offset_encoding)
  range.context = { diagnostics = {} }
  local actions = ask("textDocument/codeAction", range)
  check(actions[1].title == "Fetch `author` with `select_related`", vim.inspect(actions))
  lsp.util.apply_workspace_edit(actions[1].edit, client.offset_encoding)
  local expected = before:gsub("objects%.all%(%)", 'objects.select_related("author")')
  expected = expected:gsub("\n\n\n", "\n\n\n# \u{1f600} \u{e9}\n\n", 1)
  check(text() == expected, "the text is\n" .. text() .. "and not\n" .. expected)
  expect()
  vim.cmd("undo")
  expect("select-related")

  -- A file of 5,000 lines that is nowhere but in its buffer, and an edit at its end.
  vim.cmd("edit " .. root .. "/shop/large.py")
  local lines = vim.split(before, "\n")
  for n = 1, 1000 do
    vim.list_extend(lines, { "def f" .. n .. "(a):", "    if a:", "        return [a, " .. n .. "]", "", "" })
  end
  api.nvim_buf_set_lines(0, 0, -1, true, lines)
  check(api.nvim_buf_line_count(0) > 5000, "the file is small")
  expect("select-related")
  api.nvim_buf_set_lines(0, -1, -1, true, { "def last():", "    return Book.objects.count() > 0" })
  expect("select-related", "exists")
  check(vim.diagnostic.get(0)[2].lnum == api.nvim_buf_line_count(0) - 1, "it is elsewhere in the large file")

  lsp.stop_client(client.id)
  check(vim.wait(30000, function()
    return lsp.get_client_by_id(client.id) == nil
  end, 20), "the server does not end")
end

local is_done, problem = xpcall(main, debug.traceback)
if not is_done then
  fail(problem)
end
io.stdout:write("done")
vim.cmd("qall!")
